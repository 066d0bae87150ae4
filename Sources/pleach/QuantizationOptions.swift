import ArgumentParser
import Compression
import Federation
import ModelGraph
import Tensors

/// What `pleach model quantize` writes.
struct QuantizationForm: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The target: \(DeploymentTarget.allCases.map(\.rawValue).joined(separator: ", ")).", valueName: "target"))
    var target = DeploymentTarget.x86.rawValue

    @Flag(help: "Fail where a node of the target would compute in float32.")
    var strict = false

    @Flag(help: "Store weights below 8 bits in a byte each.")
    var unpacked = false

    @Option(help: "Opset of the file, 13 to 25. (default: the model's, 17 at least)")
    var opset: Int?
}

/// How many bits weights get.
struct QuantizationBudget: ParsableArguments {
    @Option(help: "Of every weight, 2 to 8. (default: the target's most)")
    var bits: Int?

    @Option(help: "On average over all weights; each layer gets what it needs.")
    var averageBits: Double?

    @Option(help: "Bytes of all weights, such as 150KB; each layer gets what it needs.")
    var bytes: String?

    @Option(help: "Multiply-accumulates x bits x bits of a sample; each layer gets what it needs.")
    var bitOperations: Double?

    @Option(parsing: .upToNextOption, help: "The numbers of bits that a budget chooses from. (default: 2 3 4 5 6 8)")
    var candidates: [Int] = []

    func amount() throws -> QuantizationSettings.Amount {
        var found: [QuantizationSettings.Amount] = []
        if let averageBits { found.append(.averageBits(averageBits)) }
        if let bytes {
            guard let count = PlanSize.bytes(bytes), count > 0 else {
                throw ValidationError("--bytes '\(bytes)' is not a size such as 65536, 150KB or 2MiB")
            }
            found.append(.bytes(count))
        }
        if let bitOperations { found.append(.bitOperations(bitOperations)) }
        guard found.count + (bits == nil ? 0 : 1) <= 1 else {
            throw ValidationError("give one of --bits, --average-bits, --bytes and --bit-operations")
        }
        guard candidates.isEmpty || !found.isEmpty else {
            throw ValidationError("--candidates is of no use without --average-bits, --bytes or --bit-operations")
        }
        return found.first ?? .same
    }
}

/// How `pleach model quantize` gets there.
struct QuantizationMethod: ParsableArguments {
    @Option(help: "nearest, adaround or gptq. (default: nearest)")
    var rounding: String?

    @Option(
        help: ArgumentHelp(
            "uniform, kmeans, powers-of-two or quantiles; all but uniform have 4 bits unless --bits says 2 to 7, and powers of "
                + "two no more. (default: uniform)"))
    var levels: String?

    @Option(help: "Weights that share a scale: tensor, channel or block. (default: the target's)")
    var per: String?

    @Option(help: "Weights of a block.")
    var block: Int?

    @Option(help: "Ranges of weights: minMax or leastSquares. (default: leastSquares below 8 bits and within budgets)")
    var range: String?

    @Flag(help: "Give weights zero points.")
    var asymmetric = false

    @Flag(help: "Scales that are powers of two.")
    var powerOfTwo = false

    @Flag(help: "Bring channels of neighbouring layers to one range first.")
    var equalize = false

    @Flag(help: "Leave biases as they are.")
    var noBiasCorrection = false

    @Option(help: "Ranges of activations: minMax, percentile, entropy or mse. (default: percentile)")
    var calibration: String?

    @Option(help: "For percentile: 50 to 100. (default: 99.999)")
    var percentile: Double?

    @Option(help: "Samples to measure on. (default: 1024)")
    var samples: Int?

    @Option(help: "Samples to measure on what each layer's bits cost. (default: 256)")
    var sensitivitySamples: Int?

    @Option(help: "Samples to compare the two models on. (default: 256)")
    var comparedSamples: Int?

    @Option(parsing: .upToNextOption, help: "Weights or nodes that stay float.")
    var exclude: [String] = []

    /// - Parameter hasBudget: whether a budget decides the bits.
    func scheme(for target: DeploymentTarget, bits: Int?, hasBudget: Bool) throws -> WeightScheme {
        var scheme = WeightScheme(for: target)
        scheme.bits = bits ?? scheme.bits
        scheme.isSymmetric = !asymmetric
        scheme.hasPowerOfTwoScales = powerOfTwo
        switch levels {
        case nil, "uniform": scheme.levels = .uniform
        case "kmeans": scheme.levels = .kMeans
        case "powers-of-two": scheme.levels = .powersOfTwo
        case "quantiles": scheme.levels = .normalQuantiles
        case let word?: throw unknown("--levels", word, ["uniform", "kmeans", "powers-of-two", "quantiles"])
        }
        // A codebook of eight bits is no smaller than steps of one width, which lose no more.
        if scheme.levels != .uniform, bits == nil { scheme.bits = min(scheme.bits, 4) }
        switch per {
        case nil: if let block { scheme.granularity = .block(block) }
        case "tensor": scheme.granularity = .tensor
        case "channel": scheme.granularity = .channel
        case "block": scheme.granularity = .block(block ?? 32)
        case let word?: throw unknown("--per", word, ["tensor", "channel", "block"])
        }
        guard block == nil || per == nil || per == "block" else {
            throw ValidationError("--block needs --per block")
        }
        switch range {
        // A budget gives some layers few bits.
        case nil: scheme.range = scheme.bits < 8 || hasBudget ? .leastSquares : .minMax
        case "minMax": scheme.range = .minMax
        case "leastSquares": scheme.range = .leastSquares
        case let word?: throw unknown("--range", word, ["minMax", "leastSquares"])
        }
        return scheme
    }

    private func unknown(_ option: String, _ word: String, _ words: [String]) -> ValidationError {
        ValidationError(
            "\(option) '\(word)' is unknown\(NearestName.hint(for: word, in: words)); available: "
                + words.joined(separator: ", "))
    }
}
