"""The table of options on click: parameters, a help by groups that fits a screen, completion, mistakes as one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from freelane.fastcore.version import __version__
from freelane.settings.option import GROUPS
from freelane.settings.sources import convert
from freelane.settings.table import defaults, flag, kinds, options

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # no generic in older releases


class Value(ParamType):
    """A setting's value, converted as one from the environment is."""

    name = "value"

    def __init__(self, setting: str) -> None:
        self.setting = setting

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str) or kinds()[self.setting] is list:
            return value
        return convert(self.setting, value, flag(self.setting))

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        known = options()[self.setting]
        return known.metavar or ("N" if kinds()[self.setting] in (int, float) else "VALUE")

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        known = options()[self.setting]
        if known.metavar in ("FILE", "PATH"):
            return [CompletionItem(incomplete, type="file")]
        if known.metavar == "DIR":
            return [CompletionItem(incomplete, type="dir")]
        choices = ("true", "false") if kinds()[self.setting] is bool else known.choices
        return [CompletionItem(choice) for choice in choices if choice.startswith(incomplete)]


class Target(ParamType):
    """``module:app`` or ``path/to/file.py:app``."""

    name = "app"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


def shown_default(name: str) -> str:
    value = defaults()[name]
    if value in (None, "", False) or value == [] or "default:" in options()[name].help:
        return ""
    return f" (default: {'yes' if value is True else value})"


class SettingOption(click.Option):
    """An option of the table; not given is None, or nothing for a list."""

    def __init__(self, name: str) -> None:
        known, kind = options()[name], kinds()[name]
        self.setting = name
        declared = [name, flag(name)]
        more: dict[str, Any] = {"type": Value(name)}
        if kind is bool and not known.valued:
            declared = [name, f"{flag(name)}/{flag(name).replace('--', '--no-', 1)}"]
            more = {}
        choices = known.choices and len(known.choices) <= 4 and not known.open
        help = known.help + (f" ({'|'.join(known.choices)})" if choices and kind is str else "") + shown_default(name)
        super().__init__(declared, default=None, multiple=kind is list, help=help, **more)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        known, kind = options()[self.setting], kinds()[self.setting]
        if kind is bool and not known.valued:
            left = flag(self.setting) if defaults()[self.setting] is not True else f"--no-{flag(self.setting)[2:]}"
            return left, self.help or ""
        return f"{flag(self.setting)} {Value(self.setting).get_metavar(self)}", self.help or ""


class SettingsCommand(click.Command):
    """A command that takes every option; its ``--help`` shows what is common, ``--help-all`` the rest."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """``--canary 5% new:app`` may stand without quotes."""
        for at in range(len(args) - 2, 0, -1):
            if args[at - 1] == "--canary" and re.fullmatch(r"[\d.]+%", args[at]) and not args[at + 1].startswith("-"):
                args = [*args[:at], f"{args[at]} {args[at + 1]}", *args[at + 2 :]]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        everything = bool(ctx.meta.get("freelane.everything"))
        of_ours = [param for param in self.params if isinstance(param, SettingOption)]
        for group, title in GROUPS.items():
            rows = [
                param.get_help_record(ctx)
                for param in of_ours
                if options()[param.setting].group == group and (everything or options()[param.setting].common)
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=34)
        rest = [
            param.get_help_record(ctx)
            for param in self.get_params(ctx)
            if isinstance(param, click.Option) and param not in of_ours
        ]
        with formatter.section("Other"):
            formatter.write_dl([record for record in rest if record is not None], col_max=34)


def help_all(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta["freelane.everything"] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


def tell_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"freelane {__version__}")
        ctx.exit()


def settings_command(
    name: str, short: str, run: Callable[..., int], more: list[click.Parameter] | None = None
) -> click.Command:
    """A command of the target and every setting: calls ``run(target, given, ...)``, which returns the exit code."""

    def callback(target: str | None, **values: Any) -> int:
        given = {key: values.pop(key) for key in list(values) if key in options()}
        given = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}
        return run(target, {key: value for key, value in given.items() if value is not None and value != []}, **values)

    parameters: list[click.Parameter] = [click.Argument(["target"], required=False, type=Target(), metavar="[APP]")]
    parameters += [SettingOption(setting) for setting in options()]
    parameters += more or []
    for option, told, help in (("--help-all", help_all, "show every option"), ("--version", tell_version, "show the version")):
        parameters.append(click.Option([option], is_flag=True, expose_value=False, is_eager=True, callback=told, help=help))
    return SettingsCommand(
        name, params=parameters, callback=callback, help=run.__doc__, short_help=short, context_settings=CONTEXT
    )
