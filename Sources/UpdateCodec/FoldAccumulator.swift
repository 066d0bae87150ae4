import CKernels
import Tensors

/// The exact weighted sum of a round's contributions, in 64-bit fixed point: the same set gives the same bytes in any
/// order, and memory is one integer per parameter, however many contributions there are.
///
/// sum[i] = Σ_k weight_k · round(x_k[i] · 2^30), ties to even; mean[i] = sum[i] / (Σ_k weight_k · 2^30).
/// It cannot overflow: |x| <= 2^8 makes |round(x·2^30)| <= 2^38, and Σ weight <= 2^24 makes |sum| <= 2^62 < 2^63.
public struct FoldAccumulator: Sendable {
    public static let largestMagnitude: Float = 256
    public static let largestTotalWeight: UInt64 = 1 << 24
    static let fractionBits = 30

    public let layout: TensorLayout
    public private(set) var totalWeight: UInt64 = 0
    /// How many updates were added.
    public private(set) var contributions = 0
    /// All tensors, one after the other.
    private var sums: FoldMemory
    private let offsets: [Int]

    /// - Parameter memory: what an accumulator for a layout of as many elements left behind (`drainMean`); memory of another
    ///   size is not used.
    public init(layout: TensorLayout, reusing memory: consuming FoldMemory? = nil) {
        self.layout = layout
        var offsets: [Int] = []
        var end = 0
        for entry in layout.entries {
            offsets.append(end)
            end += entry.elementCount
        }
        self.offsets = offsets
        let spare = memory.take()
        sums = spare.flatMap { $0.count == end ? $0 : nil } ?? FoldMemory(count: end)
    }

    /// Adds one update, straight from its codes or decoded run by run. All or nothing: a refused update changes nothing.
    /// - Parameter threads: that share the work; the sums do not depend on them.
    /// - Throws: `CodecError.layoutMismatch`, `.weightBeyondFold`, `.valueBeyondFold`.
    public mutating func add(_ update: UpdateReader, weight: UInt32, threads: Int = 1) throws(CodecError) {
        guard update.layout == layout else {
            throw .layoutMismatch(
                tensor: layout.entries.first?.name ?? "",
                reason: "the update was read for another layout than the fold's")
        }
        let total = totalWeight + UInt64(weight)
        guard weight > 0, total <= Self.largestTotalWeight else { throw .weightBeyondFold(total: total) }
        for (record, magnitude) in zip(update.records, update.magnitudes) where magnitude > Self.largestMagnitude {
            throw .valueBeyondFold(tensor: layout.entries[record.index].name, magnitude: magnitude)
        }
        // From here on nothing can fail: the reader walked through every byte before.
        if !isKnownUniquelyReferenced(&sums) { sums = FoldMemory(copying: sums) }
        for number in update.records.indices {
            let offset = offsets[update.records[number].index]
            try Self.add(
                update, record: number, to: SharedPointer(sums.first + offset), Int64(weight),
                WorkForce(threads: threads))
        }
        totalWeight = total
        contributions += 1
    }

    private static func add(
        _ update: UpdateReader, record number: Int, to sums: SharedPointer<Int64>, _ weight: Int64, _ force: WorkForce
    ) throws(CodecError) {
        let runs = update.runs(ofRecord: number)
        guard runs.isPlainIntegers else {
            return try update.forEachRun(ofRecord: number, force: force) { run in
                if let indices = run.indices {
                    pleach_fold_add_at(sums.pointer, indices, run.values.baseAddress, run.values.count, weight)
                } else {
                    let place = sums.pointer.map { $0 + run.start }
                    pleach_fold_add(place, run.values.baseAddress, run.values.count, weight)
                }
            }
        }
        let record = runs.record
        try runs.forEachCodes(in: update.body, force: force) { run, scales in
            pleach_fold_codes(
                sums.pointer.map { $0 + run.start }, run.codes.baseAddress, run.codes.count, scales, record.factor,
                record.blockSize, run.start, weight)
        }
    }

    /// The weighted mean, divided in double and rounded to float32; all 0 before the first contribution.
    public func mean() -> NamedTensors {
        NamedTensors(
            layout.entries.enumerated().map { index, entry in
                var tensor = Tensor(zeros: entry.shape)
                tensor.withMutableElements(as: Float.self) { target in
                    mean(of: index, from: 0, count: target.count, into: target.baseAddress)
                }
                return (entry.name, tensor)
            })
    }

    /// The weighted mean of one tensor of the layout.
    public func mean(ofTensor index: Int) -> Tensor {
        var tensor = Tensor(zeros: layout.entries[index].shape)
        tensor.withMutableElements(as: Float.self) { target in
            mean(of: index, from: 0, count: target.count, into: target.baseAddress)
        }
        return tensor
    }

    /// The same mean, tensor by tensor and a piece at a time, giving the accumulator's memory back on the way, or setting it
    /// to zero if it is to be kept.
    ///
    /// `body` gets the tensor's index, the first element's place in it and a piece that it may change; it is called at
    /// least once for each tensor, for an empty one with an empty piece.
    /// - Returns: the memory, all zero, if it is to be kept and nobody else holds it.
    @discardableResult
    public consuming func drainMean<Failure: Error>(
        pieceLength: Int = 1 << 16, keepingMemory keepsMemory: Bool = false,
        _ body: (_ tensor: Int, _ start: Int, _ piece: UnsafeMutableBufferPointer<Float>) throws(Failure) -> Void
    ) throws(Failure) -> FoldMemory? {
        let longest = layout.entries.reduce(0) { max($0, $1.elementCount) }
        let scratch = UnsafeMutableBufferPointer<Float>.allocate(capacity: max(1, min(pieceLength, longest)))
        defer { scratch.deallocate() }
        // A copy elsewhere keeps the memory.
        let isOurs = isKnownUniquelyReferenced(&sums)
        for (index, entry) in layout.entries.enumerated() {
            var start = 0
            repeat {
                let count = min(scratch.count, entry.elementCount - start)
                mean(of: index, from: start, count: count, into: scratch.baseAddress)
                let place = offsets[index] + start
                if isOurs, keepsMemory { sums.clear(place..<place + count) }
                if isOurs, !keepsMemory { sums.release(before: place + count) }
                try body(index, start, UnsafeMutableBufferPointer(rebasing: scratch[..<count]))
                start += count
            } while start < entry.elementCount
        }
        return isOurs && keepsMemory ? sums : nil
    }

    private func mean(of index: Int, from start: Int, count: Int, into target: UnsafeMutablePointer<Float>?) {
        let divisor = Double(max(totalWeight, 1)) * Double(1 << Self.fractionBits)
        pleach_fold_mean(sums.first + offsets[index] + start, count, divisor, target)
    }
}
