/// What the child Python runs: `python -c TEXT REQUEST`. It answers with one line of JSON on standard output and ends when
/// its standard input closes, so that it never outlives who asked.
enum RuntimeScript {
    static let text = #"""
        import sys
        # `-c` puts the current folder first: whatever lies there is none of our modules.
        sys.path = [entry for entry in sys.path if entry not in ("", ".")]
        import json, os, statistics, threading, time

        begin = time.perf_counter()
        channel = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

        def answer(value):
            channel.write(json.dumps(value) + "\n")
            channel.flush()
            os._exit(0)

        def watch():
            while os.read(0, 4096):
                pass
            os._exit(3)

        threading.Thread(target=watch, daemon=True).start()
        request = json.loads(sys.argv[1])
        deadline = begin + request["limitSeconds"]
        try:
            import numpy
            import onnxruntime
        except Exception as error:
            answer({"missing": str(error)[:300]})

        TYPES = {
            "tensor(float)": numpy.float32, "tensor(double)": numpy.float64, "tensor(float16)": numpy.float16,
            "tensor(int64)": numpy.int64, "tensor(int32)": numpy.int32, "tensor(int8)": numpy.int8,
            "tensor(uint8)": numpy.uint8, "tensor(bool)": numpy.bool_,
        }

        def feeds(session):
            inputs = session.get_inputs()
            symbols = {i.shape[0] for i in inputs if i.shape and isinstance(i.shape[0], str) and i.shape[0]}
            random = numpy.random.default_rng(1)
            found = {}
            for place, value in enumerate(inputs):
                if value.type not in TYPES:
                    raise ValueError(f"input '{value.name}' is {value.type}, for which there is no random data")
                shape = []
                for axis, extent in enumerate(value.shape):
                    if isinstance(extent, int):
                        if place == 0 and axis == 0 and extent != request["batch"]:
                            raise ValueError(
                                f"input '{value.name}' takes batches of {extent}, not of {request['batch']}")
                    else:
                        name = extent or f"{value.name}.{axis}"
                        if name in request["extents"]:
                            extent = request["extents"][name]
                        elif axis == 0 or extent in symbols:
                            extent = request["batch"]
                        else:
                            raise ValueError(f"input '{value.name}' has the open axis '{name}': give it an extent")
                    shape.append(extent)
                count = 1
                for extent in shape:
                    count *= extent
                if count > 1 << 28:
                    raise ValueError(f"input '{value.name}' of {shape} is too large")
                kind = TYPES[value.type]
                if kind == numpy.bool_:
                    # A mask that hides everything may take another path.
                    found[value.name] = numpy.ones(shape, kind)
                elif numpy.issubdtype(kind, numpy.integer):
                    # Every vocabulary has the ids 0 and 1.
                    found[value.name] = random.integers(0, 2, shape).astype(kind)
                else:
                    found[value.name] = random.random(shape, numpy.float32).astype(kind)
            return found

        class Model:
            def __init__(self, path):
                self.times, self.spent, self.error = [], 0.0, None
                try:
                    if time.perf_counter() > deadline:
                        raise ValueError("there was no time left")
                    options = onnxruntime.SessionOptions()
                    options.intra_op_num_threads = request["threads"]
                    options.inter_op_num_threads = 1
                    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
                    options.log_severity_level = 4
                    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
                    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
                    self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
                    self.feeds = feeds(self.session)
                    self.session.run(None, self.feeds)
                    start = time.perf_counter()
                    self.session.run(None, self.feeds)
                    once = max(time.perf_counter() - start, 1e-6)
                    # About 20 ms: long enough for caches to be this model's, short enough for turns to be many.
                    self.block = max(1, min(50, int(0.02 / once)))
                except Exception as error:
                    lines = str(error).splitlines() or [type(error).__name__]
                    self.error = lines[0][:300]

            def done(self):
                return len(self.times) >= request["runs"] or self.spent >= request["secondsEach"]

            def turn(self):
                run, feeds, clock = self.session.run, self.feeds, time.perf_counter
                run(None, feeds)
                for _ in range(self.block):
                    start = clock()
                    run(None, feeds)
                    took = clock() - start
                    self.times.append(took)
                    self.spent += took

            def result(self):
                if self.error is None and not self.times:
                    self.error = "there was no time left"
                if self.error is not None:
                    return {"error": self.error}
                return {
                    "milliseconds": statistics.median(self.times) * 1e3, "minimumMilliseconds": min(self.times) * 1e3,
                    "runs": len(self.times),
                }

        models = [Model(path) for path in request["models"]]
        turns = [model for model in models if model.error is None]
        # There and back again, so that a drift of the machine falls on all alike.
        while turns and not all(model.done() for model in turns) and time.perf_counter() < deadline:
            for model in turns:
                if time.perf_counter() < deadline:
                    model.turn()
            turns.reverse()
        answer({"version": onnxruntime.__version__, "models": [model.result() for model in models]})
        """#
}
