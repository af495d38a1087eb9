"""One app for freelane (``--alias pyreframework``) and for Pyre itself."""

from pyreframework import Pyre

app = Pyre()


@app.get("/")
def hello(req):
    return {"hello": "world"}


@app.get("/user/{id}")
def user(req):
    return {"id": req.params["id"]}


@app.post("/echo")
def echo(req):
    return req.json()


@app.get("/compute")
def compute(req):
    total = 0
    for number in range(2000):
        total += number * number % 7
    return {"total": total}


if __name__ == "__main__":
    app.run(host="127.0.0.1")
