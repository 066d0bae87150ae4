/// Spreads a budget of bytes over tensors so that the expected squared error of all is least.
///
/// This is Lagrangian bit allocation (Shoham and Gersho 1988, "Efficient bit allocation for an arbitrary set of
/// quantizers"): on each tensor's convex hull of (bytes, error), all steps that gain more error a byte than some λ are
/// taken. Taking the steps of all tensors by falling gain finds the λ of any budget without a search. What is left,
/// less than the next step, goes either to a part of that step or to smaller steps behind it, whichever gains more.
///
/// Tensors are encoded in order. What a record leaves of its bound goes to the tensors behind it.
///
/// **Guarantee**: the records' sum of bytes never exceeds the budget as long as each keeps its plan's bound. Always
/// `remaining` >= Σ bounds of the tensors that are not encoded yet: a step is only taken where it fits.
///
/// Equal input makes equal plans on every machine: only + − · / √ and comparisons in double, ties by tensor index.
struct BudgetAllocator: Sendable {
    /// Tensors with a smaller share of all alive elements have steps small enough as they are.
    private static let refinedShare = 512
    /// Plans are made anew when so much of what remains was saved ...
    private static let replannedShare = 64
    /// ... and always when as few tensors are left.
    private static let lastTensors = 8

    /// From plan `level` of a tensor's hull to the next one.
    private struct Step {
        let tensor: Int
        let level: Int
        let byteCount: Int
        let gain: Double
        let gainPerByte: Double
    }

    private let candidates: [TensorCandidates]
    /// Of the tensors not yet encoded, by falling gain a byte.
    private var steps: [Step] = []
    private(set) var plans: [TensorPlan]
    /// Bytes for the tensors not yet encoded.
    private(set) var remaining: Int
    /// Bytes saved since the plans were made.
    private var saved = 0
    /// The tensor to encode next.
    private(set) var next = 0

    /// - Parameters:
    ///   - profiles: of all tensors of the layout, by index.
    ///   - scheme: how values are written, but for selection and formats.
    ///   - byteCount: for all records together: what the container takes besides is off already.
    /// - Precondition: byteCount >= 0.
    init(profiles: [MagnitudeProfile], scheme: WireScheme, byteCount: Int) {
        let alive = profiles.reduce(0) { $0 + $1.alive }
        let candidates = profiles.enumerated().map { index, profile in
            TensorCandidates(
                profile, index: index, scheme: scheme, isRefined: profile.alive >= alive / Self.refinedShare)
        }
        self.init(candidates, byteCount: byteCount)
    }

    /// The same for plans that are known already.
    init(_ candidates: [TensorCandidates], byteCount: Int) {
        precondition(byteCount >= 0, "a budget of \(byteCount) bytes for records")
        self.candidates = candidates
        remaining = byteCount
        plans = candidates.map { $0.hull[0] }
        for (tensor, candidates) in candidates.enumerated() {
            for (level, (less, more)) in zip(candidates.hull, candidates.hull.dropFirst()).enumerated() {
                steps.append(
                    Step(
                        tensor: tensor, level: level, byteCount: more.byteBound - less.byteBound,
                        gain: less.expectedError - more.expectedError,
                        gainPerByte: TensorCandidates.gainPerByte(less, more)))
            }
        }
        steps.sort { ($1.gainPerByte, $0.tensor, $0.level) < ($0.gainPerByte, $1.tensor, $1.level) }
        makePlans()
    }

    /// Σ expected errors of all plans as they are now.
    var expectedError: Double { plans.reduce(0) { $0 + $1.expectedError } }

    /// How to send a tensor. Final as soon as all tensors before it are encoded.
    func plan(forTensor index: Int) -> TensorPlan { plans[index] }

    /// The next tensor in order was encoded, in so many bytes; 0 if it has no record.
    /// - Precondition: byteCount is within the bound of that tensor's plan.
    mutating func spent(_ byteCount: Int) {
        let bound = plans[next].byteBound
        precondition(0 <= byteCount && byteCount <= bound, "a record of \(byteCount) bytes, bound to \(bound)")
        remaining -= byteCount
        saved += bound - byteCount
        next += 1
        guard saved > 0 else { return }
        if saved >= remaining / Self.replannedShare || plans.count - next <= Self.lastTensors { makePlans() }
    }

    /// Plans the tensors not yet encoded. O(their steps).
    private mutating func makePlans() {
        let next = next
        steps.removeAll { $0.tensor < next }
        saved = 0
        var left = remaining
        var levels = [Int](repeating: 0, count: plans.count)
        for tensor in next..<plans.count { plans[tensor] = candidates[tensor].hull[0] }
        /// What the first step that did not fit could be a part of.
        var partial: (tensor: Int, plan: TensorPlan, gain: Double)?
        var blocked = false
        /// Taken behind it, and the plans before.
        var filling: [(tensor: Int, before: TensorPlan)] = []
        var fillingGain = 0.0
        for step in steps where levels[step.tensor] == step.level {
            let hull = candidates[step.tensor].hull
            guard step.byteCount <= left else {
                if !blocked {
                    let less = hull[step.level]
                    let plan = candidates[step.tensor].between(
                        less, hull[step.level + 1], byteLimit: less.byteBound + left)
                    partial = plan.map { (step.tensor, $0, less.expectedError - $0.expectedError) }
                }
                blocked = true
                continue
            }
            if blocked {
                filling.append((step.tensor, hull[step.level]))
                fillingGain += step.gain
            }
            levels[step.tensor] += 1
            plans[step.tensor] = hull[step.level + 1]
            left -= step.byteCount
        }
        guard let partial, partial.gain > fillingGain else { return }
        for change in filling.reversed() { plans[change.tensor] = change.before }
        plans[partial.tensor] = partial.plan
    }
}
