"""What is around a recogniser's parts in a file that takes chunks."""

# A number of the state is two of float16: its 11 first bits, then the next.
_REST = 2048.0

# The state: the samples that later outputs depend on, how many these are, how
# many of their outputs are out already, the loudest filter bank, hidden states.
# Outputs that depend on later samples wait for them, and one more does: a
# recurrent node fails at 0 frames, which could be at the end.
_GRAPH = """
<ir_version: 10, opset_import: ["" : {opset}]>
chunks (int32[1, samples, 1] x, float16[1, {numbers2}] state) => (
    float[1, frames, {tokens}] log_probs, float16[1, {numbers2}] state_next)
<int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] two = {{2}},
 int64[1] numbers = {{{numbers}}}, int64[1] numbers2 = {{{numbers2}}},
 int64[1] kept = {{{kept}}}, int64[5] parts = {{{kept}, 1, 1, 1, {hidden}}},
 int64[3] shape = {{{layers}, 1, {width}}}, int64[2] row = {{1, -1}},
 int64[1] chunk = {{{chunk}}}, int64[1] hop = {{{hop}}},
 int64[1] ahead = {{{ahead}}}, int64[1] again = {{{again}}},
 int64[1] least = {{{least}}}, int64[3] before = {{0, 0, 0}},
 int64[1] end = {{{end}}}, int64[2] behind = {{0, 0}},
 float none = {{0}}, float scale = {{{scale}}}, float rest = {{{rest}}}>
{{
  halves = Cast <to = 1> (state)
  high = Slice (halves, zero, numbers, one)
  low = Slice (halves, numbers, numbers2, one)
  small = Div (low, rest)
  all = Add (high, small)
  past, n_, skip_, loudest_, hx_ = Split <axis = 1> (all, parts)
  n_1 = Squeeze (n_, zero)
  n = Cast <to = 7> (n_1)
  skip_1 = Squeeze (skip_, zero)
  skip = Cast <to = 7> (skip_1)
  front_loudest = Squeeze (loudest_, zero)
  back_hx = Reshape (hx_, shape)

  first = Sub (kept, n)
  old = Slice (past, first, kept, one)
  flat = Squeeze (x, two)
  number = Cast <to = 1> (flat)
  new = Div (number, scale)
  known = Concat <axis = 1> (old, new)
  length = Shape <start = 1, end = 2> (known)
  lack = Sub (least, length)
  lacking = Max (lack, zero)
  pads = Concat <axis = 0> (before, lacking)
  front_x = Pad (known, pads)

  given = Shape <start = 1, end = 2> (x)
  over = Mod (given, chunk)
  whole = Equal (over, zero)
  some = Greater (given, zero)
  goes_on = And (whole, some)

  rows = Shape <start = 1, end = 2> (front_rows)
  sure = Sub (length, ahead)
  hops = Div (sure, hop)
  waiting = Add (hops, one)
  until = Where (goes_on, waiting, rows)
  back_x = Slice (front_rows, skip, until, one)
  log_probs = Identity (back_log_probs)

  passed = Sub (until, again)
  dropped = Max (passed, zero)
  start = Mul (dropped, hop)
  later = Slice (known, start, end, one)
  n_next = Shape <start = 1, end = 2> (later)
  silent = Sub (kept, n_next)
  pads_next = Concat <axis = 0> (zero, silent, behind)
  past_next = Pad (later, pads_next)
  skip_next = Min (until, again)
  counts = Concat <axis = 0> (n_next, skip_next)
  counts_f = Cast <to = 1> (counts)
  figures = Concat <axis = 0> (counts_f, front_loudest_next)
  figures_row = Reshape (figures, row)
  hidden = Reshape (back_hidden, row)
  all_next = Concat <axis = 1> (past_next, figures_row, hidden)
  kept_on = Where (goes_on, all_next, none)
  high_next = Cast <to = 10> (kept_on)
  rounded = Cast <to = 1> (high_next)
  error = Sub (kept_on, rounded)
  large = Mul (error, rest)
  low_next = Cast <to = 10> (large)
  state_next = Concat <axis = 1> (high_next, low_next)
}}
"""


def surround(front, back, hidden, kept, **sizes):
    """A recogniser's parts as one file that takes chunks.

    Arguments
    ---------
    front, back : onnx_ir.Model
        From samples to recurrent input, and from there to scores; see
        ``write_chunks``. The graph names their values ``front_value``.
    hidden, kept : int
        Numbers of hidden states and of samples in the state.
    **sizes : int
        What else the graph names.

    Returns
    -------
    onnx_ir.Model
    """
    import onnx
    import onnx_ir
    from onnx_ir.traversal import RecursiveGraphIterator

    numbers = kept + 3 + hidden
    sizes |= {"numbers": numbers, "numbers2": 2 * numbers, "end": 2**62}
    text = _GRAPH.format(hidden=hidden, kept=kept, rest=_REST, **sizes)
    whole = onnx.parser.parse_model(text)
    for name, part in (("front", front), ("back", back)):
        graph = part.graph
        nodes = list(RecursiveGraphIterator(graph))
        values = [value for node in nodes for value in node.outputs]
        values += [*graph.inputs, *graph.initializers.values()]
        # onnx.compose.add_prefix forgets what a Scan's body uses of the graph.
        for thing in (*nodes, *values):
            if thing.name:
                thing.name = f"{name}_{thing.name}"
        graph = onnx_ir.to_proto(part).graph
        whole.graph.node.extend(graph.node)
        whole.graph.initializer.extend(graph.initializer)
    model = onnx_ir.from_proto(whole)
    model.graph.sort()
    return model
