import CTorch
import ModelGraph
import Tensors

/// Autocast to bfloat16, by operator: convolutions and matrix products get their float32 operands in bfloat16 and give
/// float32 back; everything else is float32. autograd runs through the casts, so that parameters stay the float32 originals
/// and get float32 gradients.
///
/// Not `at::autocast`: on the CPU that leaves ATen's general convolution alone and runs normalizations and softmax in
/// bfloat16.
enum LowPrecision {
    private static let operators: Set<String> = ["Conv", "ConvTranspose", "Gemm", "MatMul"]

    static func covers(_ node: Node) -> Bool { node.domain.isEmpty && operators.contains(node.operatorType) }

    /// Runs a node in bfloat16; in float32 where libtorch has no such kernel.
    static func perform(
        _ instruction: Instruction, _ inputs: [TorchTensor?], _ frame: inout Frame
    ) throws(EngineError) -> [TorchTensor?] {
        guard inputs.allSatisfy({ $0.map { $0.elementType == .float32 } ?? true }) else {
            return try instruction.perform(&frame, inputs)
        }
        let small = try inputs.map { input throws(EngineError) in
            try input.map { input throws(EngineError) in try cast(input, to: .bfloat16) }
        }
        let outputs: [TorchTensor?]
        do { outputs = try instruction.perform(&frame, small) } catch .runtime {
            return try instruction.perform(&frame, inputs)
        }
        return try outputs.map { output throws(EngineError) in
            try output.map { output throws(EngineError) in
                output.elementType == .bfloat16 ? try cast(output, to: .float32) : output
            }
        }
    }

    private static func cast(_ tensor: TorchTensor, to type: ElementType) throws(EngineError) -> TorchTensor {
        try TorchTensor(ct_cast(tensor.handle, Int32(type.rawValue)))
    }
}
