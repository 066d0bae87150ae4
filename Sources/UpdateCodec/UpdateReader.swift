import CKernels
import Tensors

/// A container that was parsed and checked from its first byte to its last. Holds the compressed bytes, not the values;
/// over a mapped file it holds not even those: checking and folding release the pages behind them. Only a body packed with
/// LZ4 is unpacked into memory, at most `TensorLayout.largestBodyByteCount` (6 bytes an element and a little).
///
/// After `init` succeeded, nothing about the bytes can fail any more: positions are in range, values finite.
public struct UpdateReader: Sendable {
    public let header: UpdateHeader
    public let layout: TensorLayout
    /// The masks after the change, when the container carries one; the values are aligned to them.
    public let newMasks: MaskSet?

    /// The unpacked body, with the container's prefix in front when it was stored.
    let body: ByteRegion
    let records: [TensorRecord]
    /// The mask of each record's tensor.
    let recordMasks: [Bitmap?]
    /// The largest magnitude in each record.
    let magnitudes: [Float]
    private let positions: [PositionIndex]
    private let force: WorkForce
    /// Each record by the index of its tensor.
    private let recordNumbers: [Int: Int]
    private let normSquared: Double

    /// Parses and checks everything.
    /// - Parameters:
    ///   - masks: those of the base snapshot.
    ///   - threads: that share the work; the outcome does not depend on them.
    /// - Throws: `CodecError`, naming the tensor or the field.
    public init(
        _ bytes: [UInt8], layout: TensorLayout, masks: MaskSet = MaskSet(), limits: CodecLimits = .default,
        threads: Int = 1
    ) throws(CodecError) {
        try self.init(region: ByteRegion(bytes), layout: layout, masks: masks, limits: limits, threads: threads)
    }

    /// The same over a file, which must not change while the reader lives.
    public init(
        _ file: MappedFile, layout: TensorLayout, masks: MaskSet = MaskSet(), limits: CodecLimits = .default,
        threads: Int = 1
    ) throws(CodecError) {
        try self.init(region: ByteRegion(file), layout: layout, masks: masks, limits: limits, threads: threads)
    }

    private init(
        region: ByteRegion, layout: TensorLayout, masks: MaskSet, limits: CodecLimits, threads: Int
    ) throws(CodecError) {
        force = WorkForce(threads: threads)
        try masks.check(against: layout)
        let container = try ParsedContainer(
            region, limits: limits, expecting: layout, masks: masks,
            bodyByteLimit: layout.largestBodyByteCount, force: force)
        header = container.prefix.header
        self.layout = layout
        newMasks = container.newMasks
        body = container.body
        records = container.records
        recordNumbers = Dictionary(uniqueKeysWithValues: container.records.enumerated().map { ($1.index, $0) })
        let aligned = container.newMasks ?? masks
        recordMasks = records.map { aligned[layout.entries[$0.index].name] }
        var magnitudes: [Float] = []
        var normSquared = 0.0
        var positions: [PositionIndex] = []
        for (record, mask) in zip(records, recordMasks) {
            let runs = RecordRuns(record: record, mask: mask, tensorName: layout.entries[record.index].name)
            positions.append(try runs.indexPositions(in: body))
            let measured = try runs.measure(in: body, force: force)
            magnitudes.append(measured.largest)
            normSquared += measured.squares
        }
        self.positions = positions
        body.release()
        self.magnitudes = magnitudes
        self.normSquared = normSquared
    }

    /// Dense float32 tensors of the layout, 0 where nothing was sent.
    public func decode() throws(CodecError) -> NamedTensors {
        var pairs: [(String, Tensor)] = []
        for (index, entry) in layout.entries.enumerated() {
            var tensor = Tensor(zeros: entry.shape)
            try visit(&tensor, index, force) { target, run in
                if let target = target.pointer { run.copy(to: target) }
            }
            pairs.append((entry.name, tensor))
        }
        return NamedTensors(pairs)
    }

    /// Adds the layout's tensor `index`, as `decode` gives it, to a float32 tensor of that shape, in place.
    public func add(to tensor: inout Tensor, tensorAt index: Int) throws(CodecError) {
        if let number = recordNumbers[index], runs(ofRecord: number).hasNoIndices {
            return try visit(&tensor, index, force) { target, run in
                pleach_add(target.pointer.map { $0 + run.start }, run.values.baseAddress, run.values.count)
            }
        }
        let count = tensor.elementCount
        var next = 0
        // In order, on one thread: what was not sent is +0, and adding that is not nothing, it makes +0 of −0.
        try visit(&tensor, index, .alone) { target, run in
            guard let target = target.pointer, let indices = run.indices else { return }
            for place in run.values.indices {
                let element = Int(indices[place])
                while next < element {
                    target[next] += 0
                    next += 1
                }
                target[element] += run.values[place]
                next += 1
            }
        }
        tensor.withMutableElements(as: Float.self) { target in
            for element in next..<max(next, count) { target[element] += 0 }
        }
    }

    /// Calls `body` with each run of one tensor and where the tensor's elements are.
    private func visit(
        _ tensor: inout Tensor, _ index: Int, _ force: WorkForce, _ body: (SharedPointer<Float>, ValueRun) -> Void
    ) throws(CodecError) {
        precondition(tensor.elementCount == layout.entries[index].elementCount, "the tensor has another shape")
        guard let number = recordNumbers[index] else { return }
        var failure: CodecError?
        tensor.withMutableElements(as: Float.self) { target in
            let target = SharedPointer(target.baseAddress)
            do throws(CodecError) {
                try forEachRun(ofRecord: number, force: force) { body(target, $0) }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    /// Σx² over all values, summed in double.
    public func squaredNorm() -> Double { normSquared }

    /// Decodes one record, without ever holding more than a run of it for each thread.
    func forEachRun(
        ofRecord number: Int, force: WorkForce = .alone, _ visit: (ValueRun) -> Void
    ) throws(CodecError) {
        try runs(ofRecord: number).forEach(in: body, positions[number], force: force, visit)
    }

    func runs(ofRecord number: Int) -> RecordRuns {
        let record = records[number]
        return RecordRuns(record: record, mask: recordMasks[number], tensorName: layout.entries[record.index].name)
    }
}
