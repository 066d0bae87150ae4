import CTorch
import Tensors
import Testing

@testable import Engine

/// The optimizers' own loops against ATen's operators, which other devices and layouts use: a transposed leaf makes the
/// CPU take them.
struct TrainingLoopTests {
    /// One parameter, optimized towards a target.
    private struct Trained {
        let leaf: TorchTensor
        let first: TorchTensor
        let second: TorchTensor
        let target: TorchTensor
        let mask: TorchTensor
        let reference: TorchTensor
        let correction: TorchTensor
        var squares = 0.0

        init(isTransposed: Bool) throws {
            // Larger than a piece of the loops, so that they are cut.
            func make(_ tensor: Tensor) throws -> TorchTensor {
                guard isTransposed else { return try TorchTensor(tensor) }
                let turned = try TorchTensor(tensor.transposed())
                let swapped: [Int64] = [1, 0]
                return try TorchTensor(ct_transpose(turned.handle, swapped, 2))
            }
            let start = TrainingLoopTests.noise(seed: 1)
            let value = try make(start)
            leaf = try TorchTensor(ct_leaf(value.handle))
            first = try TorchTensor(ct_zeros_like(leaf.handle))
            second = try TorchTensor(ct_zeros_like(leaf.handle))
            target = try make(TrainingLoopTests.noise(seed: 2))
            reference = try make(TrainingLoopTests.noise(seed: 3))
            correction = try make(TrainingLoopTests.noise(seed: 4))
            let alive = (0..<start.elementCount).map { UInt8($0 % 3 == 0 ? 0 : 1) }
            mask = try TorchTensor(Tensor(elements: alive, elementType: .bool, shape: start.shape))
        }

        /// - Parameter isMasked: whether the optimizer masks too.
        mutating func step(_ kind: OptimizerMethod, _ step: Int64, isMasked: Bool) throws {
            let before = ct_set_gradients(true)
            defer { _ = ct_set_gradients(before) }
            try CTorchStatus.check(ct_clear_gradient(leaf.handle))
            let loss = try TorchTensor(ct_squared_error(leaf.handle, target.handle))
            try CTorchStatus.check(ct_backward(loss.handle))
            var terms = CTGradientTerms(
                scale: 500, proximal: 0.3, reference: reference.handle, correction: correction.handle,
                mask: step == 2 ? nil : mask.handle, limit: 0.7)
            try CTorchStatus.check(ct_prepare_gradient(leaf.handle, &terms))
            try CTorchStatus.check(ct_add_gradient_squares(leaf.handle, &squares))
            var update = CTUpdate(
                rate: 0.05, weight_decay: 0.1, scale: 0.8, mask: isMasked ? mask.handle : nil, beta1: 0.9, beta2: 0.99,
                epsilon: 1e-6, step: step)
            let status =
                switch kind {
                case .sgd: ct_sgd_step(leaf.handle, first.handle, 0.9, true, &update)
                case .adamw: ct_adamw_step(leaf.handle, first.handle, second.handle, &update)
                case .lamb: ct_lamb_step(leaf.handle, first.handle, second.handle, &update)
                }
            try CTorchStatus.check(status)
        }
    }

    private static func noise(seed: UInt64) -> Tensor {
        var random = SeededGenerator(seed: seed)
        return Tensor((0..<(300 * 100)).map { _ in random.uniform() - 0.5 }, shape: [300, 100])
    }

    @Test(arguments: OptimizerMethod.allCases, [false, true])
    func loopsAndOperatorsAgree(kind: OptimizerMethod, isMasked: Bool) throws {
        var loops = try Trained(isTransposed: false)
        var operators = try Trained(isTransposed: true)
        #expect(try loops.leaf.tensor() == operators.leaf.tensor())
        for step in 1...4 as ClosedRange<Int64> {
            try loops.step(kind, step, isMasked: isMasked)
            try operators.step(kind, step, isMasked: isMasked)
        }
        let found = try [loops.leaf, loops.first, loops.second].map { try $0.tensor().floats }
        let expected = try [operators.leaf, operators.first, operators.second].map { try $0.tensor().floats }
        for (found, expected) in zip(found, expected) {
            #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-6 })
        }
        #expect(found[0] != Self.noise(seed: 1).floats)
        #expect(abs(loops.squares - operators.squares) < 1e-6 * operators.squares)
    }
}

extension Tensor {
    /// A float32 matrix with rows as columns.
    fileprivate func transposed() throws -> Tensor {
        let (rows, columns) = (shape[0], shape[1])
        let values = floats
        return Tensor(
            (0..<values.count).map { values[($0 % rows) * columns + $0 / rows] }, shape: try Shape([columns, rows]))
    }
}
