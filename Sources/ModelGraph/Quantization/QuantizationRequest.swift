import Tensors

/// What is asked of a target, checked before anything is written: each refusal names the tensor and the mend.
struct QuantizationRequest {
    let graph: Graph
    let target: DeploymentTarget
    let layout: QuantizationLayout

    func check(
        _ activations: [String: ActivationQuantization], _ weights: [String: QuantizedWeight]
    ) throws(ModelError) {
        if let reason = graph.reasonAlreadyQuantized, target != .float32 { throw .invalidRequest(reason) }
        for name in layout.points {
            guard let parameters = activations[name] else {
                throw .invalidRequest("activation '\(name)' has no quantization parameters; calibrate it first")
            }
            try check(name, parameters)
        }
        // Those that only weights need which stay float here are no mistake.
        let points = Set(QuantizationLayout(graph, target: target).points)
        if let extra = activations.keys.sorted().first(where: { !points.contains($0) }) {
            throw .invalidRequest("'\(extra)' is no activation that this model quantizes for '\(target.rawValue)'")
        }
        let axes = Dictionary(layout.weights.map { ($0.name, $0.axis) }, uniquingKeysWith: { first, _ in first })
        for (name, weight) in weights.sorted(by: { $0.key < $1.key }) {
            guard let axis = axes[name], let tensor = graph.initializers[name] else {
                throw .invalidRequest("'\(name)' is no weight that this model quantizes for '\(target.rawValue)'")
            }
            try checkForm(name, weight, axis, tensor)
            try checkCodes(name, weight)
            try checkScheme(name, weight)
        }
    }

    private func check(_ name: String, _ parameters: ActivationQuantization) throws(ModelError) {
        guard parameters.scale.isFinite, parameters.scale >= .leastNormalMagnitude else {
            throw .invalidRequest(
                "activation '\(name)' has the impossible scale \(parameters.scale); calibrate it with finite values that vary"
            )
        }
        guard parameters.storage == target.activationStorage else {
            throw .invalidRequest(
                "activation '\(name)' is stored as \(parameters.storage); target '\(target.rawValue)' takes "
                    + "\(target.activationStorage)")
        }
        guard target != .tensorrt || parameters.zeroPoint == 0 else {
            throw .invalidRequest(
                "activation '\(name)' has the zero point \(parameters.zeroPoint); target 'tensorrt' takes symmetric ranges"
            )
        }
    }

    private func checkForm(
        _ name: String, _ weight: QuantizedWeight, _ axis: Int, _ tensor: Tensor
    ) throws(ModelError) {
        guard weight.values.elementType == .int8, weight.values.shape == tensor.shape, weight.axis == axis else {
            throw .invalidRequest(
                "weight '\(name)' needs int8 values of shape \(tensor.shape) and one scale per index of axis \(axis)")
        }
        var count = tensor.shape[axis]
        if let blocks = weight.blocks {
            guard tensor.shape.dimensions.indices.contains(blocks.axis), blocks.axis != axis, blocks.size > 0 else {
                throw .invalidRequest("weight '\(name)' needs blocks along an axis of its inputs, not \(blocks.axis)")
            }
            let extent = tensor.shape[blocks.axis]
            let inBlocks = extent / blocks.size + (extent % blocks.size > 0 ? 1 : 0)
            count = extent == 0 ? 0 : tensor.elementCount / extent * inBlocks
        }
        guard weight.scales.count == count, weight.zeroPoints.map({ $0.count == count }) ?? true else {
            throw .invalidRequest(
                weight.blocks == nil
                    ? "weight '\(name)' needs int8 values of shape \(tensor.shape) and one scale per index of axis \(axis)"
                    : "weight '\(name)' needs \(count) scales, one a block, not \(weight.scales.count)")
        }
        guard weight.scales.allSatisfy({ $0.isFinite && $0 >= .leastNormalMagnitude }) else {
            throw .invalidRequest("weight '\(name)' has a scale that is not positive; give dead channels any scale")
        }
    }

    /// Codes are what bits and codebook allow: what is outside would be read as another number.
    private func checkCodes(_ name: String, _ weight: QuantizedWeight) throws(ModelError) {
        guard (2...8).contains(weight.bits) else {
            throw .invalidRequest("weight '\(name)' has \(weight.bits) bits; 2 to 8 are possible")
        }
        let half = 1 << (weight.bits - 1)
        var allowed = -half...half - 1
        if let codebook = weight.codebook {
            guard !codebook.isEmpty, codebook.count <= min(2 * half, 128), codebook.allSatisfy(\.isFinite),
                weight.zeroPoints == nil
            else {
                throw .invalidRequest(
                    "weight '\(name)' needs a codebook of 1 to \(min(2 * half, 128)) finite levels and no zero points")
            }
            allowed = 0...codebook.count - 1
        } else if let zeroPoints = weight.zeroPoints {
            guard zeroPoints.allSatisfy({ allowed.contains(Int($0)) }) else {
                throw .invalidRequest("weight '\(name)' has a zero point outside its \(weight.bits) bits")
            }
        }
        let range = allowed
        let fits = weight.values.withElements(as: Int8.self) { $0.allSatisfy { range.contains(Int($0)) } }
        guard fits else {
            throw .invalidRequest("weight '\(name)' has a code outside \(range); round and clip to \(weight.bits) bits")
        }
    }

    /// Whether the target can hold the scheme.
    private func checkScheme(_ name: String, _ weight: QuantizedWeight) throws(ModelError) {
        let form = WeightForm(
            bits: weight.bits, hasZeroPoints: weight.zeroPoints != nil, blockSize: weight.blocks?.size,
            hasCodebook: weight.codebook != nil)
        if let refusal = target.refusal(of: form, isMatrix: weight.values.shape.rank == 2, opset: graph.opset) {
            throw .invalidRequest(
                "target '\(target.rawValue)' cannot hold weight '\(name)' \(refusal.what); \(refusal.mend)")
        }
    }
}

extension DeploymentTarget: Codable {
    /// How activations are stored where they are quantized ahead.
    public var activationStorage: ActivationQuantization.Storage {
        switch self {
        case .arm, .tensorrt: .int8
        case .float32, .x86, .x86NoVNNI, .int4, .int8Weights, .dynamic, .float16, .bfloat16: .uint8
        }
    }

    /// The largest magnitude of a weight's code that its kernels take.
    public var largestWeightCode: Int { self == .x86NoVNNI ? 63 : 127 }
}
