/// Every key a plan may hold, section by section, in the order of `protocols/plan.md` (a test compares the two).
///
/// The reader traps when code asks for a key that is not listed here, so the lists cannot fall behind.
enum PlanKeys {
    static let plan = ["name", "seed", "model", "data", "public", "fleet", "wire", "limits", "stages", "export"]
    static let model = ["architecture", "input", "classes", "width", "file", "keepEvery"]
    static let fleet = [
        "workers", "quorum", "overSelect", "rounds", "buffer", "maximumStaleness", "deadline", "wait", "lease",
        "heartbeat", "threads", "widths", "strengths", "students", "teachers",
    ]
    static let wire = ["up", "down"] + budget + ["maximumNormRatio"]
    static let direction =
        [
            "density", "selection", "values", "levels", "rotate", "block", "scale", "rounding", "coding",
            "errorFeedback",
            "small", "smallElements",
        ] + budget + ["momentum", "clip"]
    /// Of `wire`, for both directions, and of each direction.
    static let budget = ["budget", "bandwidth", "transfer"]
    static let limits = [
        "message", "blob", "chunks", "totalChunks", "peers", "connectionsPerKey", "messagesPerSecond", "attempts",
        "log", "logFiles",
    ]
    static let export = ["target", "opset", "measure", "strict"]

    private static let training = [
        "epochs", "batch", "accumulate", "optimizer", "learningRate", "momentum", "nesterov", "weightDecay", "decay",
        "clipNorm", "clipValue", "precision", "proximal", "correction",
    ]
    private static let supervision = ["loss", "labelSmoothing"]
    private static let schedule = ["warmup", "stepEvery", "stepFactor"]
    /// What only makes sense with a teacher.
    static let teaching =
        ["temperature", "alpha", "hiddenStates", "attentionMaps", "attentionMatrices", "attentionDivergence"]
    static let train =
        ["rounds"] + training + supervision + ["schedule"] + schedule + ["server", "teacher"] + teaching
    static let distill =
        ["rounds", "teacher", "ensemble"] + teaching + training + ["schedule"] + schedule + ["server"]
    static let prune =
        [
            "granularity", "criterion", "scope", "sparsity", "budget", "schedule", "steps", "roundsPerStep", "rewind",
            "regrow", "rule", "threshold", "block", "multiple", "normalized", "borders", "exclude", "scoreSamples",
            "teacher",
        ] + teaching + training + supervision + ["learningRateSchedule"] + schedule + ["server"]
    static let factorize =
        [
            "energy", "evbmf", "budget", "of", "method", "multiple", "only", "exclude", "samples", "rounds", "teacher",
        ] + teaching + training + supervision + ["schedule"] + schedule + ["server"]
    static let rankBudget = ["parameters", "macs"]
    static let pruneBudget = ["weights", "macs", "bytes", "milliseconds"]
    static let server = ["optimizer", "learningRate", "momentum", "beta2", "epsilon"]
    /// Of `quantize`, each of which says how many bits weights have.
    static let bitAmounts = ["bits", "averageBits", "bytes", "bitOperations", "milliseconds"]
    /// Of `quantize`, what only makes sense where something is trained.
    static let quantizeTraining =
        ["teacher"] + teaching + training + supervision + ["schedule"] + schedule + ["server"]
    static let quantize =
        bitAmounts + [
            "candidates", "levels", "scales", "block", "range", "symmetric", "powerOfTwo", "rounding", "correctBiases",
            "equalize", "exclude", "packed", "calibration", "percentile", "samples", "sensitivitySamples",
            "comparedSamples", "maximumDrop", "rounds", "frozenStatistics", "reestimate",
        ] + quantizeTraining
    static let evaluate = ["samples"]
    static let teacher = ["stage", "file", "own", "weight", "resize"]
    static let feature = ["weight", "pairs"]
    static let ensemble = ["temperature", "alpha", "epochs", "mutual"]

    /// Section headings of the document and their keys.
    static let sections: [(name: String, keys: [String])] = [
        ("plan", plan), ("model", model), ("fleet", fleet), ("wire", wire), ("direction", direction),
        ("limits", limits),
        ("train", train), ("server", server), ("distill", distill), ("teacher", teacher), ("feature", feature),
        ("ensemble", ensemble), ("prune", prune),
        ("budget", pruneBudget),
        ("factorize", factorize), ("budget` of `factorize", rankBudget),
        ("quantize", quantize),
        ("evaluate", evaluate), ("export", export),
    ]
}

/// Words that `protocols/plan.md` lists and no type of this target carries.
enum PlanWords {
    /// The bundled architectures (`ModelBuilder.architectures`).
    static let architectures = ["mlp", "cnn", "resnet18", "resnet20", "mobilenetv2", "transformer"]
}

/// Words of the design that this version does not know yet: refused as such rather than as typing errors.
enum PlanWordsToCome {
    static let stages = ["search"]
    static let targets = ["openvino", "coreml"]
}
