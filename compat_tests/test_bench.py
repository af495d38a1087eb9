"""``freelane bench`` as a user meets it: equality before timing, contenders that fail, nothing left running."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from compat_tests import browser
from compat_tests.servers import COMMAND
from freelane.bench import Result, compare, machine, processes
from freelane.bench.statistics import noise, ratio

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

BENCH = [*COMMAND[:-1], "bench"]
PEER = Path(__file__).with_name("bench_peer.py")
QUICK = ("-d", "1", "--rounds", "1", "--warm-up", "1", "-c", "4")
APP = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": f"said {message['text']}"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hello"})
"""


def peer(kind: str) -> str:
    return f"{kind}=cmd:{sys.executable} {PEER} {{port}} {kind}"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bench")
    (made / "shop.py").write_text(APP)
    return made


def bench(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*BENCH, *arguments], cwd=directory, capture_output=True, text=True, timeout=300,
                          env={**os.environ, **environment})  # fmt: skip


def ask(*against: str, requests: tuple[str, ...] = ("GET /", "GET /price"), **options: object) -> Result:
    return compare(None, map(peer, against), requests, subject=peer("plain"), **options)  # type: ignore[arg-type]


def test_what_differs_by_nature_is_equal_and_listed() -> None:
    found = ask("same")
    found.assert_equal()
    # Of a header only the word that varies may differ.
    assert found.agreement.nature == {
        "GET /": ["header set-cookie", "body $.id", "body $.now"], "GET /price": ["header set-cookie"],
    }  # fmt: skip


def test_differences_are_found_with_their_places() -> None:
    found = ask("other")
    assert [(item.request, item.places) for item in found.differences] == [
        ("GET /", ("header x-kind", "header set-cookie")),
        ("GET /price", ("header x-kind", "header set-cookie", "body $.price")),
    ]
    assert '-  "price": 10' in found.differences[1].diff and '+  "price": 11' in found.differences[1].diff
    with pytest.raises(AssertionError, match="x-kind"):
        found.assert_equal()
    assert ask("other", ignore=("header x-kind", "header set-cookie", "$.price")).equal


def test_order_of_json_keys_is_named_and_strictly_a_difference() -> None:
    found = ask("ordered")
    assert found.equal and found.agreement.writing["GET /price"] == ["ordered: order of JSON keys"]
    assert not ask("ordered", strict=True).equal


def test_log_in_and_variables_reach_the_requests() -> None:
    private = ("GET /{{what}}",)
    refused = ask(requests=private, variables={"what": "private"})
    assert refused.agreement.failing == {"GET /{{what}}": "401 (log in with --login)"}
    found = ask("same", requests=private, variables={"what": "private"}, login="POST /login {}")
    assert found.equal and not found.agreement.failing
    urls: list[str] = []

    def setup(url: str) -> dict[str, str]:
        urls.append(url)
        return {"what": "price"}

    assert not ask("same", requests=private, setup=setup).agreement.failing
    assert len(urls) == 3  # twice the first, once the other


def test_servers_and_conversations_are_equal(directory: Path) -> None:
    found = compare("shop:app", ["uvicorn"], ["GET /", "WS /ws > hi < > ho <"], app_dir=directory)
    found.assert_equal()
    assert found.agreement.asked == 2 and found.agreement.servers["uvicorn"] == "uvicorn"


@pytest.fixture(scope="module")
def timed(directory: Path) -> tuple[dict[str, Path], subprocess.CompletedProcess[str]]:
    """One run, and what it wrote, by kind."""
    names = {kind: directory / f"result.{kind}" for kind in ("json", "csv", "html", "junit")}
    options = [word for kind, path in names.items() for word in (f"--{kind}", str(path))]
    done = bench(directory, "--subject", peer("plain"), "-a", peer("failing"), "-r", "/", "-r", "/price", "--anyway",
                 "--github", "--each", *QUICK, *options)  # fmt: skip
    return names, done


@pytest.mark.skipif(browser.CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (500, True)])
def test_the_report_can_be_read_in_a_browser(
    timed: tuple[dict[str, Path], object], width: int, dark: bool, tmp_path: Path
) -> None:
    names, _ = timed
    found = browser.seen(names["html"].read_text(), tmp_path, width=width, dark=dark)
    for row in json.loads(names["json"].read_text())["rows"]:
        if row["invalid"] is None:
            assert f"{row['rate']:,.0f}" in found["cells"] and f"{row['latency_ms']['99']:.2f}" in found["cells"]
        else:
            assert row["invalid"] in found["text"]
    assert found["wide"] <= found["screen"] and not found["unseen"]
    assert [name for name in found["asked"] if not name.startswith("data:")] == []
    light = [sum(map(int, re.findall(r"\d+", found[part])[:3])) for part in ("back", "fore")]
    assert (light[0] < light[1]) == dark and abs(light[0] - light[1]) > 400


def test_a_timed_run_is_told_alike_by_table_json_csv_report_and_junit(
    directory: Path, timed: tuple[dict[str, Path], subprocess.CompletedProcess[str]]
) -> None:
    names, done = timed
    assert done.returncode == 1, done.stderr
    result = json.loads(names["json"].read_text())
    rows = {(row["scenario"], row["contender"]): row for row in result["rows"]}
    first, failing = rows["GET /price", "plain"], rows["GET /price", "failing"]
    assert first["rate"] > 0 and first["latency_ms"]["50"] <= first["latency_ms"]["99"] and first["invalid"] is None
    assert failing["ratio"] is None and failing["invalid"].startswith("errors under load: ")
    assert rows["GET /", "failing"]["invalid"] is None
    # A contender that answers with errors is never reported as fast.
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("failing") and "INVALID" in line]
    assert line.split()[1:5] == ["-"] * 4
    assert f"{first['rate']:,.0f}" in done.stdout and "+status: 500" in done.stdout
    assert "::error title=GET /price%3A answers differ::" in done.stdout
    page = names["html"].read_text()
    assert json.loads(page.partition('id="result">')[2].partition("</script>")[0]) == result
    cells = re.findall(r"<td>([^<]*)</td>", page)
    for row in (first, rows["GET /", "plain"], rows["GET /", "failing"]):
        assert f"{row['rate']:,.0f}" in cells and f"{row['latency_ms']['99']:.2f}" in cells
    assert not re.search(r"(?:src|href)=\"(?!data:)|url\(", page)  # nothing from elsewhere
    lines = names["csv"].read_text().splitlines()
    assert len(lines) == 5 and lines[1].startswith(f"GET /,plain,{rows['GET /', 'plain']['rate']},")
    suite = ElementTree.parse(names["junit"]).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("6", "1", "1")
    again = bench(directory, "--subject", peer("plain"), "-r", "/price", "--each", *QUICK, "--baseline", str(names["json"]))
    assert again.returncode == 0 and "now / before" in again.stdout and f"{first['rate']:,.0f}/s" in again.stdout
    assert bench(directory, "--subject", peer("plain"), "--baseline", str(PEER)).returncode == 2


def test_answers_that_differ_are_not_timed(directory: Path) -> None:
    done = bench(directory, "--subject", peer("plain"), "-a", peer("other"), "-r", "/price", *QUICK)
    assert done.returncode == 1 and "Not timed" in done.stdout and "requests/s" not in done.stdout
    done = bench(directory, "--subject", peer("plain"), "-r", "/nothing", *QUICK)
    assert done.returncode == 1 and "every request is answered with an error" in done.stdout


def test_a_contender_that_never_starts_says_why(directory: Path) -> None:
    broken = f"broken=cmd:{sys.executable} -c 'raise RuntimeError(\"no database\")' {{port}}"
    failed = bench(directory, "--subject", peer("plain"), "-a", broken, "--compare-only")
    assert failed.returncode == 3 and "no database" in failed.stderr and "while starting" in failed.stderr
    failed = bench(directory, "--subject", peer("plain"), "-a", peer("never"), "--compare-only", "--start-timeout", "1")
    assert failed.returncode == 3 and "never: no answer on" in failed.stderr
    failed = bench(directory, "--subject", "http://127.0.0.1:1", "--compare-only")
    assert failed.returncode == 3 and "no answer on http://127.0.0.1:1" in failed.stderr


def test_a_contender_that_dies_is_named(directory: Path) -> None:
    failed = bench(directory, "--subject", peer("plain"), "-a", peer("dies"), "-r", "/price", "--compare-only")
    assert failed.returncode == 3 and "dies: ended with 7" in failed.stderr
    failed = bench(directory, "--subject", peer("plain"), "-a", peer("dies-later"), "-r", "/price", *QUICK)
    assert failed.returncode == 1, failed.stderr
    assert "INVALID: ended with 7" in failed.stdout and re.search(r"plain +[\d,]+ ", failed.stdout)


def test_a_port_in_use_is_named(directory: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        failed = bench(directory, "--subject", peer("plain"), "--port", port, "--compare-only")
    assert failed.returncode == 2 and f"port {port} is in use" in failed.stderr


def left(mark: str) -> list[int]:
    return machine.marked(f"FREELANE_TEST_MARK={mark}")


@pytest.mark.skipif(not machine.HAS_PROC, reason="reads /proc")
@pytest.mark.parametrize(
    ("kind", "stage"),
    [("deaf", "asking"), ("never", "asking"), ("daemon", "asking"), ("daemon", "round 1/"), ("plain", "  GET /price, round 1")],
)
def test_ctrl_c_leaves_nothing_running(directory: Path, kind: str, stage: str) -> None:
    mark = f"{os.getpid()}-{kind}-{stage[:9].strip()}"
    environment = {**os.environ, "FREELANE_TEST_MARK": mark}
    command = [
        *BENCH,
        "--subject",
        peer(kind),
        "-r",
        "/price",
        "-d",
        "600" if stage[0] == "r" else "1",
        "--warm-up",
        "1",
        "-c",
        "4",
    ]
    process = subprocess.Popen(
        command, cwd=directory, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(stage):
                break
        if stage == "asking":
            while len(left(mark)) < 2 and process.poll() is None:
                time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        # The deaf one is not waited for if one insists.
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert "interrupted" in process.stderr.read()
        assert left(mark) == []
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("shop:app", "-a", "nginx"), "names no contender"),
        (("shop:app", "-a", "cmd:serve"), "{port}"),
        (("-a", "uvicorn"), "needs an app"),
        (("shop:app", "-r", "price"), "is no request"),
        (("shop:app", "-a", "uvicorn@/no/such/python"), "is no program"),
        (("shop:app", "--cores", "1000"), "--cores must be"),
        (("shop:app", "--requests", "/no/such/file"), "cannot read"),
        (("shop:app", "--variable", "x"), "NAME=VALUE"),
    ],
)
def test_mistakes_name_the_cure(
    directory: Path, arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from freelane.bench.interrupts import interrupts
    from freelane.cli.main import main

    monkeypatch.setattr(interrupts, "install", lambda: None)  # pytest's own handlers stay
    monkeypatch.chdir(directory)
    assert main(["bench", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_the_fixture_fails_a_test_with_the_diff(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        f"def test_equal(freelane_ab):\n    freelane_ab(None, {peer('same')!r}, ['/price'], subject={peer('plain')!r})\n"
        f"def test_other(freelane_ab):\n    freelane_ab(None, [{peer('other')!r}], ['/price'], subject={peer('plain')!r})\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "freelane.bench.pytest_plugin",
        "-p",
        "no:cacheprovider",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "1 failed, 1 passed" in done.stdout and '+  "price": 11' in done.stdout


def test_a_ratio_has_an_interval_or_a_reason_to_have_none() -> None:
    assert str(ratio([20.0], [10.0])) == "2.00 (one round)"
    found = ratio([20.0, 21.0, 19.0, 20.0], [10.0, 10.0, 10.0, 10.0])
    assert found.low is not None and found.high is not None and found.low < 2 < found.high
    assert noise(found, [0.0]) is None
    assert "1.0 cores" in str(noise(found, [1.0])) and "disagree" in str(noise(ratio([20, 40], [10, 10]), []))


def test_output_of_a_contender_is_kept(directory: Path) -> None:
    from freelane.bench.contenders import ContenderFailed, parse

    loud = parse(f"cmd:{sys.executable} -c 'print(\"cannot bind\"); raise SystemExit(4)' {{port}}", None)
    with pytest.raises(ContenderFailed, match=r"ended with 4 while starting:\ncannot bind"):
        with processes.serve(loud):
            pass
