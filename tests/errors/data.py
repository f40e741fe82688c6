"""SG6xx: arrays, settings and data sets that do not fit the model."""

from tests.errors.rows import Array, Call, Example, File, Noise, Ranks, Tensor, command, made

DOT = "J = sum(w[j]*x[j] for j in 1..D)"
LINE = "input x[j], y^*; param w[j], c; y = sum(w[j]*x[j] for j in 1..D) + c; J = (y - y^*)^2/2; minimize J"
TWO = "input x[j], y^*[k]; param W[k,j]\nz[k] = sum(W[k,j]*x[j] for j in 1..D)\nJ = sum((z[k] - y^*[k])^2 for k in 1..2)"
TABLE = "a,b,y\n1,2,3\n2,1,4\n3,3,7\n"
GPU = Tensor("torch.ones(3, device='cuda')", 2)
GRADIENT = Tensor("torch.ones(3, requires_grad=True)", 1, "Can't export tensors that require gradient, use tensor.detach()")
GATHER = "input k in 1..N\nJ = x[k]^2 + sum(x[i] for i in 1..N)"


def called(code: str, model: str = DOT, promised: bool = False, **arrays: object) -> Example:
    return made(code, model, Call("compile", backend="numpy"), Call("__call__", **arrays), promised=promised)


def trained(code: str, *options: str, model: str = LINE, table: str = TABLE, promised: bool = False) -> Example:
    argv = ("train", "model.sg", "--data", "data.csv", "--backend", "numpy", *options)
    return command(code, *argv, files={"model.sg": model, "data.csv": table}, promised=promised)


def sharded(code: str, shards: object, batch: object = ("x",), what: str = "", **options: object) -> Example:
    call = Call("distributed.LocalObjective", shards, batch, backend="numpy", **options)
    return made(code, "param w; input x; J = (w*x)^2; minimize J", call, what=what)


DATA = (
    called("SG601", w=Array((3,)), y=1.0, x=Array((3,))),
    called("SG601", w=Array((3,))),
    called("SG602", w=Array((3, 3)), x=Array((3,)), promised=True),
    called("SG603", w=Array((3,), "complex128"), x=Array((3,)), promised=True),
    made("SG603", DOT, Call("compile", backend="numpy"), Call("bind", w=Array((3,), ">f8"), x=Array((3,))), promised=True),
    called("SG604", w=Array((3,)), x=Array((4,)), promised=True),
    called("SG605", GATHER, k=9, x=Array((4,)), promised=True),
    called("SG605", "J = x[5] + sum(x[i] for i in 1..N)", x=Array((4,)), promised=True),
    called("SG606", "k = argmax(x[i] for i in 1..N); J = sum(x[i]^2 for i in 1..N) + stop(k)", x=Array((0,))),
    made(
        "SG607", "param w; input x; J = (w*x)^4; minimize J", Call("compile", backend="numpy", wrt=["w"], batch=["x"]),
        Call("fit", {"w": 1.0}, {"x": Array((8,), of=9.0)}, Call("SGD", 9.0), progress=False),
    ),
    made("SG608", "param w; J = w^2; minimize J", Call("compile", backend="numpy", checkpoint="often")),
    trained("SG608", "--learning-rate", "-1"),
    made(
        "SG609", "J = w*x", Call("compile", backend="numpy", wrt=["w"]),
        Call("fit", {"x": 1.0}, {"w": 1.0}, Call("SGD", 0.1), progress=False),
    ),
    made("SG609", DOT, Call("compile", backend="numpy", wrt=["w"]), Call("tree", {"layer": {"x": Array((3,))}}, w=Array((3,)))),
    command("SG610", "train", "model.sg", "--data", "digit", files={"model.sg": LINE}),
    command(
        "SG611", "train", "model.sg", "--data", "digits",
        files={"model.sg": LINE}, without=["sklearn"], what="scikit-learn is not installed",
    ),
    Example("SG611", "J = x^2 + 3*x^5", calls=(Call("compile", backend="torch"), Call("__call__", x=1.0)), without=("torch",),
            what="PyTorch is not installed"),
    trained("SG612", table="a,b,y\n1,2\n"),
    trained("SG612", "--column", "z"),
    trained("SG613", model="input x[j]; param w[j], c; J = sum(w[j]*x[j] for j in 1..D) + c", promised=True),
    trained("SG613", model=TWO, table="a,b,y\n1,2,cat\n2,1,dog\n3,3,cow\n2,2,cat\n", promised=True),
    trained("SG614", "--size", "D"),
    trained("SG614", "--size", "Q=3"),
    made("SG616", "J = log(-1 - x^2)", Call("check", "dJ/dx = 1")),
    made("SG618", DOT, Call("compile", backend="numpy"), Call("bind", w=[1.0, 2.0], x=Array((2,)))),
    called("SG631", w=GPU, x=Array((3,))),
    called("SG632", w=GRADIENT, x=Array((3,))),
    made("SG633", DOT, Call("compile", backend="numpy", wrt=["w"]), Call("tree", {"layer": {"bias": {}}}, x=Array((3,)))),
    made("SG633", DOT, Call("compile", backend="numpy", wrt=["w"]), Call("flat", [1.0, 2.0, 3.0], x=Array((3,)))),
    made("SG651", DOT, Call("distributed.DaskObjective", [File("0.npz")], "tcp://scheduler:8786", ["x"])),
    sharded("SG652", []),
    sharded("SG652", [{"x": Array((3,))}], ()),
    sharded("SG653", [{"x": Array((3,))}, File("part-1.npz")]),
    sharded("SG654", [{"x": Array((3,))}, {"x": Array((3, 2))}]),
    sharded("SG654", [{"x": Array((3,)), "w": Array((1,))}]),
    made(
        "SG655", DOT, Call("distributed.MPIObjective", [File("0.npz")], Ranks(), batch=["x"], wrt=["w"]),
        what="rank 1 has another version of numpy",
    ),
    Example("SG656", calls=(Call("distributed.dask.running", "connecting"),), what="the scheduler has ended: the client's status"),
    Example(
        "SG657", "param w; input x; J = (w*x)^2; minimize J",
        calls=(Call("distributed.LocalObjective", [Noise()], ["x"], keep=False, backend="numpy"), Call("__call__", w=1.0)),
    ),
)  # fmt: skip
