import Tensors

// Layers and normalisations. A rule may say less than is known, never more.
extension ConstantProfiles {
    func layer(_ view: NodeShapes) -> Profile? {
        switch view.node.operatorType {
        case "Conv": convolution(view, silent: silentLines(view.node.inputs[1], axis: 0))
        case "ConvTranspose": convolution(view, silent: silentOutputs(view))
        case "Gemm": gemm(view)
        case "MatMul": matMul(view)
        case "Einsum": einsum(view)
        default: nil
        }
    }

    /// 0 where all weights of an output are zero, else unknown.
    private func silence(_ lines: [Bool]) -> [Double] { lines.map { $0 ? 0 : .nan } }

    private func convolution(_ view: NodeShapes, silent: [Bool]?) -> Profile? {
        guard let silent else { return nil }
        let rank = rank(view)
        let own = Profile(silence(silent), axis: 1, rank: rank)
        guard let bias = input(view, 2) else { return own }
        guard bias.rank == 1 else { return nil }
        return Profile.combine([own, Profile(bias.values, axis: 1, rank: rank)], rank: rank) { $0[0] + $0[1] }
    }

    /// A transposed kernel is [in, out / groups, ...]: an output is silent where its group's inputs all have zeros there.
    private func silentOutputs(_ view: NodeShapes) -> [Bool]? {
        guard let weight = tensor(view.node.inputs[1]) else { return nil }
        let groups = max(1, Int(clamping: view.node.int("group") ?? 1))
        let (inputs, outputs) = (weight.shape[0], weight.shape[1])
        let inner = weight.shape.dimensions[2...].reduce(1, *)
        let part = inputs / groups
        return weight.withElements(as: Float.self) { values in
            (0..<(groups * outputs)).map { output in
                (0..<part).allSatisfy { input in
                    let row = output / outputs * part + input
                    let base = (row * outputs + output % outputs) * inner
                    return values[base..<(base + inner)].allSatisfy { $0 == 0 }
                }
            }
        }
    }

    private func gemm(_ view: NodeShapes) -> Profile? {
        let (a, b) = (view.node.inputs[0], view.node.inputs[1])
        let product: Profile
        if let lines = silentLines(b, axis: view.node.int("transB") ?? 0 != 0 ? 0 : 1) {
            product = Profile(silence(lines), axis: 1, rank: 2)
        } else if let lines = silentLines(a, axis: view.node.int("transA") ?? 0 != 0 ? 1 : 0) {
            product = Profile(silence(lines), axis: 0, rank: 2)
        } else {
            return nil
        }
        guard let bias = input(view, 2) else { return product }
        let beta = Double(view.node.float("beta") ?? 1)
        return Profile.combine([product, bias], rank: 2) { $0[0] + beta * $0[1] }
    }

    private func matMul(_ view: NodeShapes) -> Profile? {
        let (a, b) = (view.node.inputs[0], view.node.inputs[1])
        let (rankA, rankB, rank) = (structure.rank(a), structure.rank(b), rank(view))
        if rankB > 1, let lines = silentLines(b, axis: rankB - 1) {
            return Profile(silence(lines), axis: rank - 1, rank: rank)
        }
        if rankA > 1, rankB > 1, let lines = silentLines(a, axis: rankA - 2) {
            return Profile(silence(lines), axis: rank - 2, rank: rank)
        }
        guard rankA > 1, rankB > 1 else { return nil }
        // A sum of products is 0 where one of the two factors is 0 throughout.
        return Profile.combine(
            [self[a].silence(along: rankA - 1), self[b].silence(along: rankB - 2)], rank: rank
        ) { $0[0] == 0 || $0[1] == 0 ? 0 : .nan }
    }

    func normalization(_ view: NodeShapes) -> Profile? {
        switch view.node.operatorType {
        case "BatchNormalization":
            let epsilon = Double(view.node.float("epsilon") ?? 1e-5)
            return channelwise(view, 1...4) { x, p in
                (x - p[2]) * p[0] / (p[3] + epsilon).squareRoot() + p[1]
            }
        case "InstanceNormalization":
            guard let x = input(view, 0) else { return nil }
            let isEven = x.extents.dropFirst(2).allSatisfy { $0 == 1 }
            // A constant map has no deviation from its mean.
            return channelwise(view, 1...2) { x, p in isEven && !x.isNaN || p[0] == 0 ? p[1] : .nan }
        case "GroupNormalization": return channelwise(view, 1...2) { _, p in p[0] == 0 ? p[1] : .nan }
        case "LayerNormalization", "RMSNormalization":
            guard let scale = input(view, 1) else { return nil }
            let bias = input(view, 2) ?? Profile(repeating: 0, rank: 1)
            return Profile.combine([scale, bias], rank: rank(view)) { $0[0] == 0 ? $0[1] : .nan }
        default: return nil
        }
    }

    /// A function of the first input and of parameters with one number for each channel.
    private func channelwise(
        _ view: NodeShapes, _ positions: ClosedRange<Int>, _ body: (Double, [Double]) -> Double
    ) -> Profile? {
        let rank = rank(view)
        guard let x = input(view, 0) else { return nil }
        var operands = [x]
        for position in positions {
            guard let parameter = input(view, position), parameter.rank == 1,
                structure.extent(view.node.inputs[position], 0) == structure.extent(view.node.outputs[0], 1)
            else { return nil }
            operands.append(Profile(parameter.values, axis: 1, rank: rank))
        }
        return Profile.combine(operands, rank: rank) { body($0[0], Array($0.dropFirst())) }
    }
}
