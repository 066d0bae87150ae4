import Federation
import Ledger
import Tensors
import UpdateCodec

/// Makes the next snapshot out of the one before, a piece at a time: old parameters from their mapped blob, changes from
/// the accumulator, both into the new blob while it is hashed. Nothing of the model's size is held.
///
/// The new snapshot is always the old one plus the delta as every receiver decodes it, dead weights +0
/// (`Snapshot.applying`). How it gets to workers depends on the wire: compressed, a delta and the residual of what it left
/// out; lossless, nothing but the snapshot itself, which is no larger than such a delta.
struct SnapshotPublisher {
    /// A new snapshot and what was found on the way.
    struct Published {
        var snapshot: BlobReference
        var delta: BlobReference?
        var residual: BlobReference?
        /// For the server's optimizer.
        var moments: ServerMoments?
        /// L2 norm over all parameters.
        var norm: Double
        var residualNorm: Double
        var density: Double
        var bitsPerWeight: Double
        /// For the next round's accumulator.
        var foldMemory: FoldMemory?
    }

    let blobs: BlobStore
    let scheme: WireScheme
    let seed: UInt64
    var threads = 1
    let base: SnapshotFacts
    let old: SnapshotFile
    /// Of the new snapshot.
    let masks: MaskSet
    var statistics = ModelStatistics()

    /// Adds the mean of a round, times `share` (below 1 when contributions were stale), as the server's optimizer says.
    func publish(
        mean: consuming FoldAccumulator, share: Float = 1, server: ServerStep = ServerStep()
    ) throws -> Published {
        var change = try RoundChange(
            of: mean, share: share, statistics: statistics, old: old, optimizer: steps(server, writes: true))
        if scheme.isLossless(for: old.layout, masks: masks) { return try publishLossless(mean, &change) }
        let owed = try owed()
        var survey: UpdateSurvey?
        if scheme.budget != nil {
            survey = UpdateSurvey(layout: old.layout, masks: masks)
            var look = try RoundChange(
                of: mean, share: share, statistics: statistics, old: old, optimizer: steps(server, writes: false))
            // A copy, so that the sums are still there for the pass that encodes.
            try visitMean(copy mean, &look, keepingMemory: false) { (change: consuming Tensor, index: Int) in
                change.withMutableElements(as: Float.self) {
                    _ = owed?.add(old.layout.entries[index].name, from: 0, to: $0)
                }
                try survey?.add(change)
            }
        }
        let writer = try UpdateWriter(
            layout: old.layout, header: header, scheme: scheme, masks: masks, seed: seed, threads: threads,
            survey: survey, exact: statistics.names)
        var steps = try DeltaSteps(self, writer, owed)
        let memory = try visitMean(mean, &change, keepingMemory: true) { try steps.append($0, $1) }
        var published = try steps.finish()
        published.foldMemory = memory
        published.moments = try change.finish()
        return published
    }

    private func steps(_ server: ServerStep, writes: Bool) throws -> ServerSteps {
        let names = old.layout.entries.map(\.name).filter { !statistics.names.contains($0) }
        return try ServerSteps(
            server.optimizer, moments: server.continues ? base.moments : nil, layout: old.layout, names: names,
            masks: masks, from: blobs, writes: writes)
    }

    /// The changes that the mean makes, tensor by tensor.
    @discardableResult
    private func visitMean(
        _ mean: consuming FoldAccumulator, _ change: inout RoundChange, keepingMemory: Bool,
        _ body: (_ change: consuming Tensor, _ index: Int) throws -> Void
    ) throws -> FoldMemory? {
        var tensor = Tensor(zeros: [])
        let layout = old.layout
        return try mean.drainMean(keepingMemory: keepingMemory) { index, start, piece in
            let entry = layout.entries[index]
            try change.make(piece, ofTensor: index, from: start)
            if start == 0 { tensor = Tensor(zeros: entry.shape) }
            tensor.withMutableElements(as: Float.self) { _ = $0[start...].update(fromContentsOf: piece) }
            if start + piece.count == entry.elementCount {
                // Moved out, so that what follows can change it in place.
                var whole = Tensor(zeros: [0])
                swap(&whole, &tensor)
                try body(consume whole, index)
            }
        }
    }

    private func owed() throws -> SafetensorsFile? {
        try base.residual.map { try SafetensorsFile(blobs.map($0.digest), path: "downlink residual") }
    }

    /// Takes a new mask: a delta without values. What was still owed to dead weights is forgotten.
    func publish(maskFrom oldMasks: MaskSet) throws -> Published {
        // A mask has no values to choose formats for, and goes whatever it costs.
        var scheme = scheme
        scheme.budget = nil
        let writer = try UpdateWriter(
            layout: old.layout, header: header, scheme: scheme, masks: oldMasks, newMasks: masks, seed: seed)
        var steps = try DeltaSteps(self, writer, owed(), keepsResidual: true)
        for (index, entry) in old.layout.entries.enumerated() { try steps.append(Tensor(zeros: entry.shape), index) }
        return try steps.finish()
    }

    private var header: UpdateHeader {
        UpdateHeader(kind: .delta, base: base.snapshot.digest.bytes, maskEpoch: masks.epoch)
    }

    /// Old + change, piece by piece.
    private func publishLossless(
        _ mean: consuming FoldAccumulator, _ change: inout RoundChange
    ) throws -> Published {
        var squares = 0.0
        var sent = 0
        // Nothing is left behind when it throws: the writer discards what it has not finished.
        let writer = try blobs.makeWriter(.durable)
        try writer.append(Snapshot.fileHeader(graph: old.graph, layout: old.layout, masks: masks))
        let memory = try mean.drainMean(keepingMemory: true) { index, start, piece in
            let name = old.layout.entries[index].name
            try change.make(piece, ofTensor: index, from: start)
            guard old.tensors.add(name, from: start, to: piece) else { throw TensorError.missingTensor(name) }
            masks.apply(to: piece, of: name, from: start)
            squares += piece.sumOfSquares
            try writer.append(UnsafeRawBufferPointer(piece))
        }
        for bitmap in Snapshot.maskOrder(old.layout, masks) { try writer.append(bitmap.bytes) }
        let reference = try writer.finish()
        for entry in old.layout.entries { sent += masks[entry.name]?.populationCount ?? entry.elementCount }
        let elements = Double(max(old.layout.elementCount, 1))
        return Published(
            snapshot: reference, moments: try change.finish(), norm: squares.squareRoot(), residualNorm: 0,
            density: Double(sent) / elements,
            bitsPerWeight: Double(reference.byteCount) * 8 / elements, foldMemory: memory)
    }

    /// The streams of a compressed step: the delta in memory, snapshot and residual on their way to the disk.
    private struct DeltaSteps {
        let publisher: SnapshotPublisher
        var writer: UpdateWriter
        let snapshot: BlobWriter
        let owed: SafetensorsFile?
        let owes: BlobWriter?
        /// Whether nothing is encoded and the residual only passes through.
        let keepsResidual: Bool
        var squares = 0.0
        var residualSquares = 0.0

        init(
            _ publisher: SnapshotPublisher, _ writer: UpdateWriter, _ owed: SafetensorsFile?,
            keepsResidual: Bool = false
        ) throws {
            self.publisher = publisher
            self.writer = writer
            self.owed = owed
            self.keepsResidual = keepsResidual
            let old = publisher.old
            snapshot = try publisher.blobs.makeWriter(.durable)
            try snapshot.append(
                Snapshot.fileHeader(graph: old.graph, layout: old.layout, masks: publisher.masks))
            // What compression of this kind never leaves out needs no file.
            let isLossless = publisher.scheme.isLossless(for: old.layout, masks: publisher.masks)
            guard publisher.scheme.errorFeedback, !isLossless else {
                owes = nil
                return
            }
            owes = try publisher.blobs.makeWriter(.durable)
            try owes?.append(
                Safetensors.header(
                    of: old.layout.entries.map { (name: $0.name, elementType: ElementType.float32, shape: $0.shape) }))
        }

        mutating func append(_ change: consuming Tensor, _ index: Int) throws {
            let name = publisher.old.layout.entries[index].name
            if !keepsResidual { change.withMutableElements(as: Float.self) { _ = owed?.add(name, from: 0, to: $0) } }
            var coded = try writer.append(change, keeping: owes == nil ? .decoded : .all)
            if let owes, let residual = coded.residual.take() { try write(residual, of: name, to: owes) }
            guard let decoded = coded.decoded.take() else { return }
            try write(decoded, of: name)
        }

        /// What is still owed.
        private mutating func write(_ residual: consuming Tensor, of name: String, to file: BlobWriter) throws {
            if keepsResidual {
                residual.withMutableElements(as: Float.self) { rest in
                    _ = owed?.add(name, from: 0, to: rest)
                    publisher.masks.apply(to: rest, of: name, from: 0)
                }
            }
            residualSquares += residual.withElements(as: Float.self) { $0.sumOfSquares }
            try file.append(residual.bytes)
        }

        /// Old + decoded change.
        private mutating func write(_ decoded: consuming Tensor, of name: String) throws {
            let isThere = decoded.withMutableElements(as: Float.self) { elements in
                guard publisher.old.tensors.add(name, from: 0, to: elements) else { return false }
                publisher.masks.apply(to: elements, of: name, from: 0)
                squares += UnsafeBufferPointer(elements).sumOfSquares
                return true
            }
            guard isThere else { throw TensorError.missingTensor(name) }
            try snapshot.append(decoded.bytes)
        }

        mutating func finish() throws -> Published {
            for bitmap in Snapshot.maskOrder(publisher.old.layout, publisher.masks) {
                try snapshot.append(bitmap.bytes)
            }
            let reference = try snapshot.finish()
            let residual = try owes?.finish()
            let (bytes, density, bitsPerWeight) = writer.finish()
            var delta: BlobReference?
            if bytes.count < reference.byteCount {
                delta = BlobReference(digest: try publisher.blobs.put(bytes), byteCount: bytes.count)
            }
            return Published(
                snapshot: reference, delta: delta, residual: residual, norm: squares.squareRoot(),
                residualNorm: residualSquares.squareRoot(), density: density, bitsPerWeight: bitsPerWeight)
        }
    }
}

extension UnsafeMutableBufferPointer<Float> {
    var sumOfSquares: Double { UnsafeBufferPointer(self).sumOfSquares }
}
