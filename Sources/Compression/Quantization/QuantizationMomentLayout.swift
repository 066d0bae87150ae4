import ModelGraph
import Tensors

/// Which layers' inputs are measured for rounding, and what travels of them. It follows from the deployed graph's structure alone,
/// so coordinator and workers agree on it.
///
/// Of each group's x, what one output multiplies with a 1 behind it, the moment is E[x xᵀ]: E[x] is its last column. It travels as
/// a `MomentSet` with an entry for each group of each layer; limits are `MomentLayout`'s, the smallest layers first.
public struct QuantizationMomentLayout: Sendable, Equatable {
    /// The measured layers, in the order of use.
    public let layers: [QuantizableLayer]
    /// Layers that cannot be measured, or whose moments are too large, by weight: they can only be rounded to the nearest.
    public let leftOut: [String]
    /// What travels.
    public let moments: MomentLayout
    /// The first entry of each layer.
    let firstEntries: [Int]

    /// - Parameters:
    ///   - deployed: a BN-folded graph.
    ///   - target: which weights can be quantized depends on it.
    ///   - names: the weights to measure; nil for all that can be quantized.
    public init(_ deployed: Graph, for target: DeploymentTarget = .x86, weights names: Set<String>? = nil) {
        let found = deployed.quantizableLayers(for: target).filter { names?.contains($0.name) ?? true }
        let wanted = found.filter(\.isMeasurable)
        let taken = MomentLayout.fitting(wanted.map { (size: $0.momentSize, count: $0.groups) })
        layers = zip(wanted, taken).filter(\.1).map(\.0)
        leftOut =
            zip(wanted, taken).filter { !$0.1 }.map(\.0.name)
            + found.filter { !$0.isMeasurable }.map(\.name)
        var (entries, starts) = ([MomentLayout.Entry](), [Int]())
        for layer in layers {
            starts.append(entries.count)
            for group in 0..<layer.groups {
                let name = layer.groups == 1 ? layer.name : "\(layer.name)#\(group)"
                entries.append(.init(name: name, size: layer.momentSize))
            }
        }
        firstEntries = starts
        moments = MomentLayout(entries: entries, leftOut: leftOut)
    }

    /// What a fold of workers' sets says of each layer's inputs, in the layers' order.
    /// Precondition: the fold is of `moments`, and something was added.
    public func inputMoments(_ fold: MomentFold) -> [InputMoments] {
        zip(layers, firstEntries).map { layer, first in
            InputMoments(
                columns: layer.columns, triangles: (0..<layer.groups).map { fold.mean(ofEntry: first + $0) })
        }
    }
}

extension QuantizableLayer {
    /// What a group multiplies, and the constant.
    var momentSize: Int { columns + 1 }
}
