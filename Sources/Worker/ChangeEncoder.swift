import Federation
import Ledger
import Tensors
import UpdateCodec

/// Compresses what training changed, tensor by tensor, and keeps what compression left out.
///
/// Each pass makes the same tensors anew, so nothing of the model's size is held: one for the norm where a change is
/// clipped, one for the survey where bytes are limited, and the one that encodes.
struct ChangeEncoder {
    struct Encoded {
        var bytes: [UInt8]
        var density: Double
        var bitsPerWeight: Double
        /// What the next update adds, and its L2 norm without the momentum; nil when nothing is owed.
        var residual: (digest: Digest, norm: Double)?
    }

    let blobs: BlobStore
    let scheme: WireScheme
    let seed: UInt64
    var threads = 1

    /// - Parameters:
    ///   - snapshot: what was trained, under its digest.
    ///   - owed: the residual that the last accepted update left.
    func encode(
        _ trained: consuming some TrainedParameters, since snapshot: Snapshot, digest: Digest, owed: Digest?
    ) throws -> Encoded {
        var changes = Changes(trained: trained, snapshot: snapshot)
        if let limit = scheme.clipNorm { try changes.clip(to: limit) }
        var rest = try ResidualFiles(
            blobs: blobs, layout: snapshot.layout, masks: snapshot.masks, scheme: scheme, owed: owed)
        var survey: UpdateSurvey?
        if scheme.budget != nil {
            survey = UpdateSurvey(layout: snapshot.layout, masks: snapshot.masks)
            try changes.visit { name, change in try survey?.add(rest.input(name, change: change).tensor) }
        }
        var writer = try UpdateWriter(
            layout: snapshot.layout,
            header: UpdateHeader(kind: .update, base: digest.bytes, maskEpoch: snapshot.masks.epoch), scheme: scheme,
            masks: snapshot.masks, seed: seed, threads: threads, survey: survey)
        try changes.visit(isLast: true) { name, change in
            let (tensor, momentum) = try rest.input(name, change: change)
            let coded = try writer.append(consume tensor, keeping: rest.parts)
            try rest.write(coded, momentum: momentum)
        }
        let residual = try rest.finish().map { ($0, rest.norm) }
        let (bytes, density, bitsPerWeight) = writer.finish()
        return Encoded(bytes: bytes, density: density, bitsPerWeight: bitsPerWeight, residual: residual)
    }
}

/// Parameters after training minus those before, in the layout's order.
private struct Changes<Trained: TrainedParameters> {
    var trained: Trained
    let snapshot: Snapshot
    /// What clipping leaves of it.
    var share: Float = 1

    mutating func visit(
        isLast: Bool = false, _ body: (_ name: String, _ change: consuming Tensor) throws -> Void
    ) throws {
        trained.beginPass(isLast: isLast)
        for (name, before) in snapshot.parameters.ordered {
            var change = try trained.next(name, before: before)
            guard change.elementCount == before.elementCount else {
                throw TaskFailure("training changed the shape of '\(name)'")
            }
            if change.shape != before.shape { change = try change.reshaped(to: before.shape) }
            change.subtract(before)
            if share != 1 {
                change.withMutableElements(as: Float.self) { for index in $0.indices { $0[index] *= share } }
            }
            try body(name, change)
        }
    }

    /// Local gradient clipping (Lin et al. 2018, section 3.2): scales a change of a larger L2 norm over all tensors down to
    /// `limit`.
    mutating func clip(to limit: Double) throws {
        var squares = 0.0
        try visit { _, change in squares += change.withElements(as: Float.self) { $0.sumOfSquares } }
        let norm = squares.squareRoot()
        if norm > limit { share = Float(limit / norm) }
    }
}
