/// The plans one tensor may get, and the few of them that are worth it.
struct TensorCandidates: Sendable {
    private static let denseFormats: [ValueFormat] = [.float32, .float16, .int8, .int6, .int4, .int3, .int2, .sign]
    private static let sparseFormats: [ValueFormat] = [.int8, .int6, .int4, .int3, .ternary, .float16]
    private static let rungs = 24
    private static let largestDensity = 0.7
    /// Rungs that are put between two neighbours of the hull.
    private static let subRungs = 8

    private let magnitudes: MagnitudeBins
    private let nonzero: Int
    private let needsFloat32: Bool
    private let bound: RecordBound
    private let error: QuantizationError
    /// Plans on the lower convex hull of (bytes, error), from nothing on: bytes rise, errors fall, and each step gains
    /// less a byte than the one before.
    private(set) var hull: [TensorPlan] = []

    var alive: Int { bound.alive }

    /// - Parameter isRefined: whether the steps of the hull are to be small. Costs several times more.
    init(_ profile: MagnitudeProfile, index: Int, scheme: WireScheme, isRefined: Bool) {
        magnitudes = MagnitudeBins(profile)
        nonzero = profile.nonzero
        needsFloat32 = profile.needsFloat32
        bound = RecordBound(index: index, elements: profile.elements, alive: profile.alive, scheme: scheme)
        error = QuantizationError(scheme)
        hull = Self.hull(of: [nothing] + densePlans() + sparsePlans())
        if isRefined { hull = Self.hull(of: hull + refinements()) }
    }

    private var nothing: TensorPlan {
        TensorPlan(choice: .nothing, byteBound: 0, expectedError: magnitudes.squares)
    }

    /// Formats that can hold these values.
    private func usable(_ formats: [ValueFormat]) -> [ValueFormat] { needsFloat32 ? [.float32] : formats }

    func dense(_ format: ValueFormat) -> TensorPlan {
        let choice = TensorPlan.Choice.dense(format)
        return TensorPlan(
            choice: choice, byteBound: bound.bytes(choice), expectedError: error.expected(magnitudes, format))
    }

    /// - Precondition: 1 <= kept < alive.
    func largest(_ kept: Int, _ format: ValueFormat) -> TensorPlan {
        largest(kept, [format])[0]
    }

    private func largest(_ kept: Int, _ formats: [ValueFormat]) -> [TensorPlan] {
        let split = magnitudes.largest(kept)
        return formats.map { format in
            let choice = TensorPlan.Choice.largest(kept: kept, format)
            return TensorPlan(
                choice: choice, byteBound: bound.bytes(choice),
                expectedError: split.droppedSquares + error.expected(split.kept, format))
        }
    }

    private func densePlans() -> [TensorPlan] {
        nonzero > 0 ? usable(Self.denseFormats).map(dense) : []
    }

    private func sparsePlans() -> [TensorPlan] {
        let most = min(nonzero, alive - 1)
        guard most > 0 else { return [] }
        let last = max(1, Self.largestDensity * Double(alive))
        var counts = Self.geometric(from: 1, to: Int(last), between: Self.rungs - 2).filter { $0 <= most }
        // All that are not 0, where some are.
        if nonzero < alive { counts.append(nonzero) }
        var plans = Self.ascending(counts).flatMap { largest($0, usable(Self.sparseFormats)) }
        // What ternary without a density would send.
        let threshold = TensorEncoder.ternaryThreshold * magnitudes.sum / magnitudes.count
        let above = min(magnitudes.count(above: threshold), most)
        if above > 0, !needsFloat32 { plans.append(largest(above, .ternary)) }
        return plans
    }

    /// Plans between neighbours of the hull, in their formats.
    private func refinements() -> [TensorPlan] {
        zip(hull, hull.dropFirst()).flatMap { (less, more) -> [TensorPlan] in
            let (low, high) = (max(1, less.kept(of: alive)), min(more.kept(of: alive), alive - 1, nonzero))
            guard low < high else { return [] }
            let formats = Self.sparseFormats.filter { $0 == less.format || $0 == more.format }
            return Self.geometric(from: low, to: high, between: Self.subRungs).flatMap { largest($0, usable(formats)) }
        }
    }

    /// The best plan of at most `byteLimit` bytes between two neighbours of the hull, in one of their formats; nil if
    /// none is better than `less`.
    func between(_ less: TensorPlan, _ more: TensorPlan, byteLimit: Int) -> TensorPlan? {
        let (low, high) = (max(1, less.kept(of: alive)), min(more.kept(of: alive), alive - 1, nonzero))
        guard low <= high else { return nil }
        var best: TensorPlan?
        for format in usable(Self.sparseFormats) where format == less.format || format == more.format {
            func fits(_ kept: Int) -> Bool { bound.bytes(.largest(kept: kept, format)) <= byteLimit }
            guard fits(low) else { continue }
            var (fitting, beyond) = (low, high + 1)
            while fitting + 1 < beyond {
                let middle = (fitting + beyond) / 2
                if fits(middle) { fitting = middle } else { beyond = middle }
            }
            let plan = largest(fitting, format)
            // Not better than `more`, so that more bytes never make the sum of errors greater.
            guard plan.expectedError < (best ?? less).expectedError, plan.expectedError >= more.expectedError else {
                continue
            }
            best = plan
        }
        return best
    }

    /// Counts in about equal ratios, both ends included, ascending and each once.
    private static func geometric(from low: Int, to high: Int, between: Int) -> [Int] {
        guard low < high else { return [low] }
        let ratio = root(Double(high) / Double(low), between + 1)
        var counts = [low]
        var exact = Double(low)
        for _ in 0..<between {
            exact *= ratio
            counts.append(min(high, Int(exact.rounded())))
        }
        return ascending(counts + [high])
    }

    private static func ascending(_ counts: [Int]) -> [Int] {
        counts.sorted().reduce(into: []) { if $0.last != $1 { $0.append($1) } }
    }

    /// The lower convex hull from the plan of fewest bytes to that of least error.
    private static func hull(of plans: [TensorPlan]) -> [TensorPlan] {
        // Indices break ties, so the order never depends on the sort.
        let sorted = plans.enumerated().sorted {
            ($0.element.byteBound, $0.element.expectedError, $0.offset)
                < ($1.element.byteBound, $1.element.expectedError, $1.offset)
        }
        var hull: [TensorPlan] = []
        for (_, plan) in sorted {
            guard let last = hull.last else {
                hull.append(plan)
                continue
            }
            guard plan.expectedError < last.expectedError, plan.byteBound > last.byteBound else { continue }
            while hull.count > 1, let last = hull.last,
                gainPerByte(hull[hull.count - 2], last) <= gainPerByte(last, plan)
            {
                hull.removeLast()
            }
            hull.append(plan)
        }
        return hull
    }

    static func gainPerByte(_ less: TensorPlan, _ more: TensorPlan) -> Double {
        (less.expectedError - more.expectedError) / Double(more.byteBound - less.byteBound)
    }
}
