import Federation
import Ledger
import ModelGraph
import Shell
import Synchronization
import Tensors
import UpdateCodec

/// The layers of the current model for whoever looks: made by the numerics thread when they change, read from anywhere.
final class LayerTable: Sendable {
    /// What the table follows from.
    private struct Origin: Equatable {
        var graph: Digest
        var maskEpoch: UInt32
        var compact: Digest?
    }

    private struct State {
        var figures: [LayerFigures] = []
        var origin: Origin?
    }

    private let state = Mutex(State())

    var newest: [LayerFigures] { state.withLock { $0.figures } }

    /// Makes the table anew where masks, structure or the quantized file are others than before. On the numerics thread.
    /// - Parameter compact: the quantized file; nil for the one that is known, or none.
    func refresh(_ numerics: CoordinatorNumerics, compact: Digest?) {
        let known = state.withLock { $0.origin }
        let origin = Origin(
            graph: numerics.current.graph.digest, maskEpoch: numerics.current.masks.epoch,
            compact: compact ?? known?.compact)
        guard origin != known else { return }
        let figures = numerics.layerFigures(compact: origin.compact)
        state.withLock { $0 = State(figures: figures, origin: origin) }
    }
}

extension CoordinatorNumerics {
    /// Every tensor that may be pruned or quantized, in the model's order.
    /// - Parameter compact: the file that would be delivered, once there is one: its codes say what a weight costs.
    func layerFigures(compact: Digest?) -> [LayerFigures] {
        // Only for people to look at: a file that cannot be read ends no run here, whoever needs it will say so.
        let stored = compact.flatMap { try? Graph.load(blobs.get($0), path: "compact model \($0)") }
        return current.prunable.entries.map { entry in
            let alive = current.masks[entry.name]?.populationCount ?? entry.elementCount
            let masked = entry.elementCount == 0 ? 0 : 1 - Double(alive) / Double(entry.elementCount)
            return LayerFigures(
                name: entry.name, weights: entry.elementCount, sparsity: masked,
                bits: stored?.storedBits(of: entry.name, elements: entry.elementCount) ?? 32)
        }
    }
}

extension Graph {
    /// Bits of one weight's codes in a quantized file: codes are called `NAME.quantized`, or `NAME.bitsN` where they are planes
    /// of N bits; nil where the weight is none of them.
    func storedBits(of name: String, elements: Int) -> Double? {
        guard elements > 0 else { return nil }
        var bits = 0
        for stored in initializers.names where stored == name + ".quantized" || stored.hasPrefix(name + ".bits") {
            guard let codes = initializers[stored] else { continue }
            bits += fourBitNames.contains(stored) ? codes.elementCount * 4 : codes.bytes.count * 8
        }
        return bits == 0 ? nil : Double(bits) / Double(elements)
    }
}
