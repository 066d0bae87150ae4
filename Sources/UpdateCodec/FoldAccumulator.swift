import CKernels
import Tensors

/// The exact weighted sum of a round's contributions, in 64-bit fixed point: the same set gives the same bytes in any
/// order, and memory is one integer per parameter, however many contributions there are.
///
/// sum[i] = Σ_k weight_k · round(x_k[i] · 2^30), ties to even; mean[i] = sum[i] / (Σ_k weight_k · 2^30).
/// It cannot overflow: |x| <= 2^8 makes |round(x·2^30)| <= 2^38, and Σ weight <= 2^24 makes |sum| <= 2^62 < 2^63.
///
/// Contributions may come from narrower versions of the model (`NestedLayouts`): each is added where it belongs, and the sum
/// of an element is divided by the weights of those that have it. What nobody had is 0.
public struct FoldAccumulator: Sendable {
    public static let largestMagnitude: Float = 256
    public static let largestTotalWeight: UInt64 = 1 << 24
    static let fractionBits = 30

    public let layout: TensorLayout
    /// The widths that contributions may have beside the whole.
    private let nested: NestedLayouts?
    /// Of the contributions of each width.
    private var weights: [UInt64]
    public var totalWeight: UInt64 { weights.reduce(0, +) }
    /// How many updates were added.
    public private(set) var contributions = 0
    /// All tensors, one after the other.
    private var sums: FoldMemory
    private let offsets: [Int]

    /// - Parameters:
    ///   - nested: of this layout, where contributions may be narrower.
    ///   - memory: what an accumulator for a layout of as many elements left behind (`drainMean`); memory of another size is
    ///     not used.
    public init(
        layout: TensorLayout, nested: NestedLayouts? = nil, reusing memory: consuming FoldMemory? = nil
    ) {
        precondition(nested == nil || nested?.whole == layout, "widths of another layout")
        self.layout = layout
        self.nested = nested
        weights = [UInt64](repeating: 0, count: 1 + (nested?.narrow.count ?? 0))
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

    /// The tensors of an update of one width; 0 is the whole model.
    /// - Throws: `CodecError.layoutMismatch` for a width that there is not.
    public func layout(ofWidth width: Int) throws(CodecError) -> TensorLayout {
        guard weights.indices.contains(width) else {
            throw .layoutMismatch(tensor: layout.entries.first?.name ?? "", reason: "there is no width \(width) of it")
        }
        return width == 0 ? layout : nested?.narrow[width - 1].layout ?? layout
    }

    /// Adds one update, straight from its codes or decoded run by run. All or nothing: a refused update changes nothing.
    /// - Parameters:
    ///   - width: of the model that it is an update of.
    ///   - threads: that share the work; the sums do not depend on them.
    /// - Throws: `CodecError.layoutMismatch`, `.weightBeyondFold`, `.valueBeyondFold`.
    public mutating func add(
        _ update: UpdateReader, weight: UInt32, width: Int = 0, threads: Int = 1
    ) throws(CodecError) {
        guard update.layout == (try layout(ofWidth: width)) else {
            throw .layoutMismatch(
                tensor: layout.entries.first?.name ?? "",
                reason: "the update was read for another layout than the fold's")
        }
        let total = totalWeight + UInt64(weight)
        guard weight > 0, total <= Self.largestTotalWeight else { throw .weightBeyondFold(total: total) }
        for (record, magnitude) in zip(update.records, update.magnitudes) where magnitude > Self.largestMagnitude {
            throw .valueBeyondFold(tensor: update.layout.entries[record.index].name, magnitude: magnitude)
        }
        // From here on nothing can fail: the reader walked through every byte before.
        if !isKnownUniquelyReferenced(&sums) { sums = FoldMemory(copying: sums) }
        let force = WorkForce(threads: threads)
        for number in update.records.indices {
            let index = update.records[number].index
            if width > 0, let places = nested?.places[width - 1][index] {
                let sums = SharedPointer(sums.first + offsets[places.index])
                try Self.add(update, record: number, at: places, to: sums, Int64(weight), force)
            } else {
                let sums = SharedPointer(sums.first + offsets[index])
                try Self.add(update, record: number, to: sums, Int64(weight), force)
            }
        }
        weights[width] += UInt64(weight)
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

    /// Adds a narrower tensor to the whole one's sums. Different elements have different places, so threads do not meet.
    private static func add(
        _ update: UpdateReader, record number: Int, at places: TensorPlaces, to sums: SharedPointer<Int64>,
        _ weight: Int64, _ force: WorkForce
    ) throws(CodecError) {
        try update.forEachRun(ofRecord: number, force: force) { run in
            let indices = [UInt32](unsafeUninitializedCapacity: run.values.count) { indices, count in
                for value in run.values.indices {
                    let element = run.indices.map { Int($0[value]) } ?? run.start + value
                    indices.initializeElement(at: value, to: UInt32(places.place(of: element)))
                }
                count = run.values.count
            }
            pleach_fold_add_at(sums.pointer, indices, run.values.baseAddress, run.values.count, weight)
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
        let sums = sums.first + offsets[index] + start
        guard let nested, let target, weights[1...].contains(where: { $0 > 0 }) else {
            return pleach_fold_mean(sums, count, Self.divisor(totalWeight), target)
        }
        nested.levels[index].forEachRun(in: start..<start + count) { level, run in
            let weight = weights[...level].reduce(0, +)
            let place = run.lowerBound - start
            if weight > 0 {
                pleach_fold_mean(sums + place, run.count, Self.divisor(weight), target + place)
            } else {
                (target + place).update(repeating: 0, count: run.count)
            }
        }
    }

    private static func divisor(_ weight: UInt64) -> Double { Double(max(weight, 1)) * Double(1 << fractionBits) }

    /// What no contribution had; nil while the whole model or nothing has contributed.
    public var gaps: FoldGaps? {
        guard let nested, weights[0] == 0, let widest = weights.firstIndex(where: { $0 > 0 }) else { return nil }
        return FoldGaps(nested: nested, width: widest)
    }
}

/// The elements that no contribution of a fold had, because all were narrower.
public struct FoldGaps: Sendable {
    fileprivate let nested: NestedLayouts
    /// The widest that contributed.
    fileprivate let width: Int

    /// Those among some elements of a tensor of the whole layout, in order.
    public func elements(ofTensor index: Int, in range: Range<Int>) -> [Range<Int>] {
        var gaps: [Range<Int>] = []
        nested.levels[index].forEachRun(in: range) { level, run in if level < width { gaps.append(run) } }
        return gaps
    }
}
