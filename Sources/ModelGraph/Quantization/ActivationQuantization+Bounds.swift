extension Graph {
    /// Ranges as `quantized(for:)` writes them: cut to what the Relu or Clip lets through that is fused into the kernel before it.
    /// - Parameter float: weights that stay float.
    public func clampingRanges(
        of activations: [String: ActivationQuantization], for target: DeploymentTarget,
        leavingFloat float: Set<String> = []
    ) -> [String: ActivationQuantization] {
        QuantizationLayout(self, target: target, float: float).clamping(activations, self)
    }
}

extension QuantizationLayout {
    func clamping(
        _ activations: [String: ActivationQuantization], _ graph: Graph
    ) -> [String: ActivationQuantization] {
        var result = activations
        for (name, clamp) in clampOf {
            guard let bounds = IntegerOperators.bounds(of: graph.nodes[clamp], graph) else { continue }
            result[name] = activations[name]?.clamped(to: bounds)
        }
        return result
    }
}

extension ActivationQuantization {
    /// The same range cut to what a Relu or Clip lets through, so that the range implies it and the runtime drops it: codes
    /// beyond the bounds would never occur. Unchanged where it does already, and where nothing would be left. Of powers of two, a
    /// range may go beyond an upper bound: such a clamp stays. Bounds hold 0.
    func clamped(to bounds: ClosedRange<Float>) -> ActivationQuantization {
        guard !implies(bounds) else { return self }
        let codes = storage.codes
        let low = max(Float(codes.lowerBound - zeroPoint) * scale, bounds.lowerBound)
        let high = min(Float(codes.upperBound - zeroPoint) * scale, bounds.upperBound)
        guard low <= 0, high > 0, (high - low).isFinite else { return self }
        guard !isPowerOfTwo else { return onPowersOfTwo(low: low, high: high) }
        let steps = (-Double(low) / (Double(high) - Double(low)) * 255).rounded(.toNearestOrEven)
        let offset = Int32(steps)
        guard (0..<255).contains(offset) else { return self }
        var step = high / Float(255 - offset)
        if offset > 0 { step = min(step, -low / Float(offset)) }
        guard step >= .leastNormalMagnitude else { return self }
        var result = ActivationQuantization(scale: step, zeroPoint: codes.lowerBound + offset, storage: storage)
        // A product that rounds up past the bound takes one more step down.
        while !result.implies(bounds), result.scale > step * 0.9999 {
            result = ActivationQuantization(
                scale: result.scale.nextDown, zeroPoint: result.zeroPoint, storage: storage)
        }
        return result
    }

    /// The least power of two whose codes reach from one end to the other, with no code below the lower.
    private func onPowersOfTwo(low: Float, high: Float) -> ActivationQuantization {
        let least = max((high - low) / 255, .leastNormalMagnitude)
        var step = least.binade
        if step < least { step *= 2 }
        let offset = Int32(min((-low / step).rounded(.down), 254))
        guard step.isFinite else { return self }
        return ActivationQuantization(
            scale: step, zeroPoint: storage.codes.lowerBound + offset, storage: storage, isPowerOfTwo: true)
    }

    /// Whether no code stands for a number outside the bounds.
    func implies(_ bounds: ClosedRange<Float>) -> Bool {
        Float(storage.codes.lowerBound - zeroPoint) * scale >= bounds.lowerBound
            && Float(storage.codes.upperBound - zeroPoint) * scale <= bounds.upperBound
    }

    /// Per tensor, from the smallest to the largest of some constants, with 0 among them.
    init(ofConstants values: [Float], storage: Storage) {
        let low = values.reduce(0) { min($0, $1) }
        let high = values.reduce(0) { max($0, $1) }
        let scale = max(Float((Double(high) - Double(low)) / 255), .leastNormalMagnitude)
        guard high > low else {
            self.init(scale: 1, zeroPoint: storage.codes.lowerBound, storage: storage)
            return
        }
        let offset = (-Double(low) / Double(scale)).rounded(.toNearestOrEven)
        self.init(
            scale: scale, zeroPoint: storage.codes.lowerBound + Int32(min(max(offset, 0), 255)), storage: storage)
    }

    /// The nearest code of a finite number, as stored.
    func code(_ value: Float) -> UInt8 {
        let steps = (Double(value) / Double(scale)).rounded(.toNearestOrEven) + Double(zeroPoint)
        let (low, high) = (Double(storage.codes.lowerBound), Double(storage.codes.upperBound))
        return UInt8(truncatingIfNeeded: Int32(min(max(steps, low), high)))
    }
}
