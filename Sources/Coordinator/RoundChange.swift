import Federation
import Ledger
import Tensors
import UpdateCodec

/// What becomes of a round's mean before it is added to the snapshot, a piece at a time: what is stale counts less,
/// statistics are pooled, and all else goes through the server's optimizer. Elements do not depend on each other, and each
/// is made by the same float operations in the same order, so pieces of any size give the same bytes.
struct RoundChange {
    /// One variance: what it was, and what its mean moves by.
    private struct Variance {
        var old: Tensor
        var meanChange: Tensor
    }

    private let layout: TensorLayout
    private let statistics: ModelStatistics
    /// Below 1 when contributions were stale.
    private let share: Float
    private let variances: [Int: Variance]
    /// What nobody trained.
    private let gaps: FoldGaps?
    private var optimizer: ServerSteps

    /// - Parameter optimizer: where the steps come from, and where their moments go.
    init(
        of mean: borrowing FoldAccumulator, share: Float, statistics: ModelStatistics, old: SnapshotFile,
        optimizer: consuming ServerSteps
    ) throws {
        layout = old.layout
        self.statistics = statistics
        self.share = share
        self.optimizer = optimizer
        let places = Dictionary(uniqueKeysWithValues: layout.entries.enumerated().map { ($1.name, $0) })
        var variances: [Int: Variance] = [:]
        for (index, entry) in layout.entries.enumerated() {
            guard let name = statistics.mean(of: entry.name), let place = places[name],
                layout.entries[place].elementCount == entry.elementCount
            else { continue }
            var meanChange = mean.mean(ofTensor: place)
            meanChange.withMutableElements(as: Float.self) { $0.scale(by: share) }
            variances[index] = Variance(old: try old.parameter(entry.name), meanChange: meanChange)
        }
        self.variances = variances
        gaps = mean.gaps
    }

    /// Turns elements `start`, `start + 1`, ... of a tensor's mean into its change.
    mutating func make(_ piece: UnsafeMutableBufferPointer<Float>, ofTensor index: Int, from start: Int) throws {
        piece.scale(by: share)
        let name = layout.entries[index].name
        if let variance = variances[index] {
            variance.old.withElements(as: Float.self) { old in
                variance.meanChange.withElements(as: Float.self) { moved in
                    for place in piece.indices {
                        piece[place] = ModelStatistics.pool(
                            piece[place], meanChange: moved[start + place], variance: old[start + place])
                    }
                }
            }
        } else if !statistics.names.contains(name) {
            let untrained = gaps?.elements(ofTensor: index, in: start..<start + piece.count) ?? []
            try optimizer.step(
                piece, of: name, from: start,
                except: untrained.map { $0.lowerBound - start..<$0.upperBound - start })
        }
    }

    /// The moments for the next round.
    consuming func finish() throws -> ServerMoments? { try optimizer.finish() }
}

extension UnsafeMutableBufferPointer<Float> {
    /// Multiplies every element; 1 changes no bit.
    func scale(by factor: Float) {
        guard factor != 1 else { return }
        for index in indices { self[index] *= factor }
    }
}
