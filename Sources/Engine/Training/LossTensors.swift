import CTorch
import Tensors

/// What a loss makes of an output and a batch's targets: checked first, since libtorch would read out of bounds or fail in
/// its own words.
struct LossTensors {
    private let loss: Loss
    private let output: TorchTensor
    private let targets: TorchTensor
    /// Targets that count.
    let counted: Int

    /// - Throws: `EngineError.badBatch` for targets of another type, shape or range than the loss needs.
    init(_ loss: Loss, output: TorchTensor, targets: Tensor) throws(EngineError) {
        self.loss = loss
        self.output = output
        let extents = output.extents
        guard let rows = extents.first, rows > 0 else { throw .badBatch("the output \(extents) has no rows") }
        switch loss.measure {
        case .crossEntropy(_, let ignored) where targets.elementType == .int64:
            counted = try Self.countLabels(targets, extents, classAxis: 1, ignored: ignored)
        case .crossEntropy, .klDivergence:
            guard extents.count >= 2 else { throw .badBatch("the output \(extents) has no axis of classes") }
            try Self.checkValues(targets, extents)
            counted = extents.reduce(1, *) / max(1, extents[1])
        case .nextToken(let ignored), .maskedToken(let ignored):
            counted = try Self.countLabels(targets, extents, classAxis: extents.count - 1, ignored: ignored)
        case .meanSquaredError, .cosine:
            try Self.checkValues(targets, extents)
            if case .cosine = loss.measure, extents.count < 2 {
                throw .badBatch("the output \(extents) has no vectors")
            }
            counted = rows
        case .binaryCrossEntropyWithLogits:
            try Self.checkValues(targets, extents)
            counted = extents.reduce(1, *)
        }
        // Values for an output [n, 1] may come as [n].
        let shape = (try? Shape(extents)) ?? targets.shape
        let fitted = targets.elementType == .float32 ? (try? targets.reshaped(to: shape)) ?? targets : targets
        self.targets = try TorchTensor(fitted)
    }

    /// The loss as a scalar that gradients can run back from.
    /// - Parameter teacherLogits: of the output's shape, for a distillation.
    func scalar(teacherLogits: Tensor?) throws(EngineError) -> TorchTensor {
        let hard = try hardScalar()
        guard let distillation = loss.distillation, let axis = loss.classAxis else { return hard }
        guard let teacherLogits else { throw .badBatch("distillation needs the teacher's logits") }
        guard teacherLogits.elementType == .float32, teacherLogits.shape.dimensions == output.extents else {
            throw .badBatch("the teacher's logits are \(teacherLogits.shape), the student's \(output.extents)")
        }
        let teacher = try TorchTensor(teacherLogits)
        let isHard = targets.elementType == .int64
        let soft = try withIgnored { ignored throws(EngineError) in
            try TorchTensor(
                ct_soft_labels(
                    output.handle, teacher.handle, Int32(axis), distillation.temperature,
                    isHard ? targets.handle : nil, ignored, Int64(counted)))
        }
        return try TorchTensor(
            ct_weighted_sum(soft.handle, distillation.alpha, hard.handle, 1 - distillation.alpha))
    }

    /// Counted targets that the output names; 0 for losses without classes.
    func correct() throws(EngineError) -> Int {
        var count: Int64 = 0
        switch loss.measure {
        case .crossEntropy, .nextToken, .maskedToken, .klDivergence:
            try withIgnored { ignored throws(EngineError) in
                try CTorchStatus.check(
                    ct_count_correct(output.handle, targets.handle, Int32(loss.classAxis ?? 1), ignored, &count))
            }
        case .binaryCrossEntropyWithLogits:
            try CTorchStatus.check(ct_count_binary_correct(output.handle, targets.handle, &count))
        case .meanSquaredError, .cosine: break
        }
        return Int(count)
    }

    static func item(_ scalar: TorchTensor) throws(EngineError) -> Double {
        var value = 0.0
        try CTorchStatus.check(ct_item(scalar.handle, &value))
        return value
    }

    private func hardScalar() throws(EngineError) -> TorchTensor {
        switch loss.measure {
        case .crossEntropy, .nextToken, .maskedToken:
            var smoothing = 0.0
            if case .crossEntropy(let amount, _) = loss.measure { smoothing = amount }
            return try withIgnored { ignored throws(EngineError) in
                try TorchTensor(
                    ct_cross_entropy(
                        output.handle, targets.handle, Int32(loss.classAxis ?? 1), smoothing, ignored, Int64(counted)))
            }
        case .klDivergence(let temperature):
            return try TorchTensor(
                ct_soft_labels(output.handle, targets.handle, 1, temperature, nil, nil, Int64(counted)))
        case .meanSquaredError: return try TorchTensor(ct_squared_error(output.handle, targets.handle))
        case .binaryCrossEntropyWithLogits:
            return try TorchTensor(ct_binary_cross_entropy(output.handle, targets.handle))
        case .cosine: return try TorchTensor(ct_cosine_loss(output.handle, targets.handle))
        }
    }

    private func withIgnored<Result>(
        _ body: (UnsafePointer<Int64>?) throws(EngineError) -> Result
    ) throws(EngineError) -> Result {
        guard var index = loss.ignoreIndex else { return try body(nil) }
        return try body(&index)
    }

    /// Checks integer targets against an output with classes along an axis and counts those that are not ignored.
    private static func countLabels(
        _ labels: Tensor, _ extents: [Int], classAxis: Int, ignored: Int64?
    ) throws(EngineError) -> Int {
        var positions = extents
        guard extents.count >= 2, classAxis >= 1 else {
            throw .badBatch("labels \(labels.elementType) \(labels.shape) do not match logits \(extents)")
        }
        let classes = positions.remove(at: classAxis)
        guard labels.elementType == .int64, labels.shape.dimensions == positions else {
            throw .badBatch("labels \(labels.elementType) \(labels.shape) do not match logits \(extents)")
        }
        var counted = 0
        let bad = labels.withElements(as: Int64.self) { labels -> Int64? in
            for label in labels where label != ignored {
                if label < 0 || label >= classes { return label }
                counted += 1
            }
            return nil
        }
        if let bad { throw .badBatch("label \(bad) is out of range for \(classes) classes") }
        return counted
    }

    /// Checks float targets against an output of the same shape; a last axis of one may be left out.
    private static func checkValues(_ values: Tensor, _ extents: [Int]) throws(EngineError) {
        let found = values.shape.dimensions
        guard values.elementType == .float32, found == extents || found + [1] == extents else {
            throw .badBatch("targets \(values.elementType) \(values.shape) do not match the output \(extents)")
        }
    }
}
