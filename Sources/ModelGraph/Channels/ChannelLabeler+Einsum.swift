import Tensors

// Einsum: axes with one letter are one axis.
extension ChannelLabeler {
    mutating func einsum(_ view: NodeShapes) {
        let y = view.node.outputs[0]
        guard let equation = try? EinsumEquation(view),
            equation.terms.allSatisfy({ Set($0).count == $0.count })
        else { return freezeAll(view, "\(words(view)) takes a diagonal") }
        let operands = Array(zip(view.node.inputs, equation.terms)) + [(y, equation.output)]
        for (letter, extent) in equation.extents.sorted(by: { $0.key < $1.key }) {
            let axes = operands.compactMap { value, letters in
                letters.firstIndex(of: letter).map { (value: value, axis: $0) }
            }.filter { self.extent($0.value, $0.axis) == extent }
            for next in axes.dropFirst() { labels.unite(axes[0].value, axes[0].axis, next.value, next.axis) }
            // Products of activations in parallel: one for each head.
            let isParallel = axes.last?.value == y && axes.count { !fixed.contains($0.value) } > 2
            if isParallel { labels.mark(y, axes[axes.count - 1].axis, .heads) }
        }
    }
}

extension ConstantProfiles {
    /// A sum of products is 0 where one of its factors is 0 throughout.
    func einsum(_ view: NodeShapes) -> Profile? {
        guard let equation = try? EinsumEquation(view) else { return nil }
        let output = equation.output
        var silences: [Profile] = []
        for (name, letters) in zip(view.node.inputs, equation.terms) {
            var silence = self[name]
            for (axis, letter) in letters.enumerated() where !output.contains(letter) {
                silence = silence.silence(along: axis)
            }
            let places = output.map { letters.firstIndex(of: $0) }
            let source = letters.map { letter in output.firstIndex(of: letter) }
            silences.append(
                silence.rearranged(to: places.map { $0.map { silence.extents[$0] } ?? 1 }) { index in
                    source.map { $0.map { index[$0] } ?? 0 }
                })
        }
        return Profile.combine(silences, rank: output.count) { $0.contains(0) ? 0 : .nan }
    }
}
