import CTorch
import ModelGraph
import Tensors

/// One trainable parameter with what the optimizer keeps for it.
struct TrainedParameter {
    let name: String
    let leaf: TorchTensor
    /// Which elements are alive (bool), where a mask says so.
    let mask: TorchTensor?
    /// Whether weight decay is for this parameter.
    let decays: Bool
    /// The value that FedProx holds it to.
    let reference: TorchTensor?
    /// What SCAFFOLD adds to its gradient.
    let correction: TorchTensor?
    /// Momentum (SGD) or first moment; none before it is needed.
    var first: TorchTensor?
    /// Second moment.
    var second: TorchTensor?
    /// Gradients of accumulated batches, each times its targets.
    var sum: TorchTensor?

    /// Makes room for what a method keeps.
    mutating func prepare(for settings: OptimizerSettings) throws(EngineError) {
        if first == nil, settings.kind != .sgd || settings.momentum != 0 {
            first = try TorchTensor(ct_zeros_like(leaf.handle))
        }
        if second == nil, settings.kind != .sgd { second = try TorchTensor(ct_zeros_like(leaf.handle)) }
    }

    /// The tensor with its dead elements zero.
    static func masked(_ tensor: Tensor, _ bitmap: Bitmap, _ name: String) throws(EngineError) -> Tensor {
        guard tensor.elementType == .float32, bitmap.count == tensor.elementCount else {
            throw .badMask(name: name, bits: bitmap.count, elements: tensor.elementCount)
        }
        var tensor = tensor
        tensor.withMutableElements(as: Float.self) { bitmap.apply(to: $0) }
        return tensor
    }

    /// A mask as libtorch takes it.
    static func flags(_ bitmap: Bitmap, shape: Shape) throws(EngineError) -> TorchTensor {
        try TorchTensor(
            Tensor(
                elements: (0..<bitmap.count).map { bitmap[$0] ? 1 : 0 } as [UInt8], elementType: .bool, shape: shape))
    }
}
