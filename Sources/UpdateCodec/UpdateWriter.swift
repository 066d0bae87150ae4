import Tensors

/// What of a coded tensor its owner needs afterwards; each costs memory of the tensor's size.
public struct CodedParts: OptionSet, Sendable {
    public let rawValue: Int

    public init(rawValue: Int) { self.rawValue = rawValue }

    public static let decoded = CodedParts(rawValue: 1)
    public static let residual = CodedParts(rawValue: 2)
    public static let all: CodedParts = [.decoded, .residual]
}

/// Writes a container tensor by tensor, so that nobody has to hold more than one tensor besides the coded bytes.
/// `UpdateEncoder.encode` is this over all tensors at once; the bytes are the same.
///
/// The container grows in one array, its prefix left free: what is not packed is never copied.
public struct UpdateWriter {
    /// What became of one tensor, as far as it was asked for.
    public struct Coded {
        /// What every receiver will see, to the bit.
        public var decoded: Tensor?
        /// Input − decoded, in float32; 0 where the mask is dead.
        public var residual: Tensor?
    }

    private let layout: TensorLayout
    private let header: UpdateHeader
    private let scheme: WireScheme
    private let masks: MaskSet
    private let carriesMasks: Bool
    /// Tensors that lose nothing, whatever the scheme says.
    private let exact: Set<String>
    /// Prefix (still zeros), then the body.
    private var bytes: [UInt8]
    /// Where the count of records stands: room for the most there can be.
    private var recordCountPlace: Range<Int>
    private var generator: SeededGenerator
    private let force: WorkForce
    /// Where the scheme has a budget.
    private var allocator: BudgetAllocator?
    private var index = 0
    private var recordCount = 0
    private var kept = 0
    private var previous = -1

    /// - Parameters:
    ///   - survey: of the tensors that will be appended; needed where the scheme has a budget.
    ///   - exact: names of tensors that travel whole and as float32. A budget is for the others and for these together.
    /// - Throws: as `UpdateEncoder.encode`, for what does not depend on the tensors' values.
    public init(
        layout: TensorLayout, header: UpdateHeader, scheme: WireScheme, masks: MaskSet = MaskSet(),
        newMasks: MaskSet? = nil, seed: UInt64 = 0, threads: Int = 1, survey: UpdateSurvey? = nil,
        exact: Set<String> = []
    ) throws(CodecError) {
        self.exact = exact
        force = WorkForce(threads: threads)
        try UpdateEncoder.check(header, scheme, layout)
        try UpdateEncoder.check(masks, newMasks, header, layout)
        self.layout = layout
        self.header = header
        self.scheme = scheme
        self.masks = newMasks ?? masks
        carriesMasks = newMasks != nil
        generator = SeededGenerator(seed: seed, labels: "update")
        bytes = [UInt8](repeating: 0, count: UpdateHeader.byteCount)
        bytes.reserveLargePages(scheme.expectedByteCount(layout))
        bytes.appendVarint(layout.entries.count)
        bytes.appendVarint(layout.elementCount)
        if let newMasks { MaskSection.write(from: masks, to: newMasks, layout: layout, to: &bytes) }
        let start = bytes.count
        bytes.appendVarint(layout.entries.count)
        recordCountPlace = start..<bytes.count
        allocator = try budget(survey)
    }

    /// Spreads what a budget leaves for records over the tensors.
    private func budget(_ survey: UpdateSurvey?) throws(CodecError) -> BudgetAllocator? {
        guard let budget = scheme.budget else { return nil }
        guard let survey, survey.isComplete, survey.layout == layout else {
            throw .invalidScheme("a budget needs a survey of all tensors of the layout")
        }
        let needed = bytes.count + layout.entries.reduce(0) { $0 + exactByteBound($1) }
        guard budget >= needed else { throw .budgetTooSmall(budget: budget, needed: needed) }
        let profiles = zip(survey.counts, layout.entries).map { counts, entry in
            // What is sent whole has no choice to make, and no bytes of those that are spread.
            exact.contains(entry.name)
                ? MagnitudeProfile(counts: [UInt32](repeating: 0, count: counts.count), elements: entry.elementCount)
                : MagnitudeProfile(counts: counts, elements: entry.elementCount)
        }
        return BudgetAllocator(profiles: profiles, scheme: scheme, byteCount: budget - needed)
    }

    /// What a record of an exact tensor never exceeds: its fields at their longest and 4 bytes an element. Positions are
    /// written only where they save more than they cost.
    private func exactByteBound(_ entry: TensorLayout.Entry) -> Int {
        guard exact.contains(entry.name) else { return 0 }
        let (values, overflow) = entry.elementCount.multipliedReportingOverflow(by: 4)
        return overflow || values > 1 << 50 ? 1 << 50 : values + 64
    }

    /// How the next tensor is written; nil for not at all.
    private func tensorScheme(alive: Int, isExact: Bool) -> WireScheme? {
        var scheme = scheme
        guard !isExact else {
            (scheme.selection, scheme.values, scheme.smallValues) = (.dense, .float32, .float32)
            return scheme
        }
        guard let allocator else { return scheme }
        scheme.smallTensorElements = 0
        switch allocator.plan(forTensor: index).choice {
        case .nothing: return nil
        case .dense(let format): (scheme.selection, scheme.values) = (.dense, format)
        case .largest(let kept, let format):
            (scheme.selection, scheme.values) = (.topK(density: Double(kept) / Double(alive)), format)
        }
        return scheme
    }

    /// Codes the layout's next tensor. Precondition: it has that tensor's shape. A tensor that nobody else holds becomes
    /// the residual in place.
    public mutating func append(_ tensor: consuming Tensor, keeping parts: CodedParts) throws(CodecError) -> Coded {
        precondition(index < layout.entries.count, "all tensors of the layout were written")
        let entry = layout.entries[index]
        precondition(tensor.shape == entry.shape, "'\(entry.name)' has another shape")
        let mask = masks[entry.name]
        let counter = generator.next()
        let isExact = exact.contains(entry.name)
        let scheme = tensorScheme(alive: mask?.populationCount ?? entry.elementCount, isExact: isExact)
        let encoder = TensorEncoder(name: entry.name, mask: mask, scheme: scheme ?? self.scheme, force: force)
        let start = bytes.count
        let coded =
            scheme == nil
            ? try encoder.leaveOut(tensor, keeping: parts)
            : try encoder.encode(tensor, counter: counter, index: index, after: previous, keeping: parts, to: &bytes)
        allocator?.spent(isExact ? 0 : bytes.count - start)
        if coded.kept > 0 {
            recordCount += 1
            kept += coded.kept
            previous = index
        }
        index += 1
        return Coded(decoded: coded.decoded, residual: coded.residual)
    }

    /// The container; the writer is empty afterwards. Precondition: all tensors were written.
    public mutating func finish() -> (bytes: [UInt8], density: Double, bitsPerWeight: Double) {
        precondition(index == layout.entries.count, "only \(index) of \(layout.entries.count) tensors were written")
        // Moved out, so that the prefix can be filled in without a copy of it all.
        var bytes: [UInt8] = []
        swap(&bytes, &self.bytes)
        var count: [UInt8] = []
        count.appendVarint(recordCount)
        bytes.replaceSubrange(recordCountPlace, with: count)
        let body = UpdateHeader.byteCount..<bytes.count
        let packed = PackedPieces.pack(bytes, body, leaving: UpdateHeader.byteCount, force: force)
        let prefix = ContainerPrefix(
            header: header, packing: packed == nil ? .stored : .pieces, carriesMasks: carriesMasks,
            bodyByteCount: body.count)
        if let packed { bytes = packed }
        prefix.write(over: &bytes)
        let elements = Double(max(layout.elementCount, 1))
        return (bytes, Double(kept) / elements, Double(bytes.count) * 8 / elements)
    }
}

extension [UInt8] {
    /// Makes room, in large pages if there is much of it.
    fileprivate mutating func reserveLargePages(_ byteCount: Int) {
        reserveCapacity(byteCount)
        let capacity = capacity
        withUnsafeMutableBytes { LargePages.advise($0.baseAddress, byteCount: capacity) }
    }
}

extension WireScheme {
    /// About what a container needs; pages that are reserved and never written cost nothing.
    fileprivate func expectedByteCount(_ layout: TensorLayout) -> Int {
        if let budget { return min(budget, layout.largestBodyByteCount) }
        guard case .dense = selection else { return 0 }
        let bits = max(values.bitCount, smallValues.bitCount)
        return UpdateHeader.byteCount
            + layout.entries.reduce(0) { sum, entry in
                sum + entry.elementCount * bits / 8 + 64 + 2 * (entry.elementCount / blockSize + 1)
            }
    }

    /// Whether nothing of these tensors is lost on the way: all values travel, as float32.
    public func isLossless(for layout: TensorLayout, masks: MaskSet) -> Bool {
        guard selection == .dense, values == .float32, budget == nil else { return false }
        return smallValues == .float32
            || layout.entries.allSatisfy { entry in
                let alive = masks[entry.name]?.populationCount ?? entry.elementCount
                return alive == 0 || alive > smallTensorElements
            }
    }
}
