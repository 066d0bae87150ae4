import Tensors
import Testing

@testable import UpdateCodec

@Suite struct BudgetAllocatorTests {
    @Test(arguments: 0..<6)
    func isAsGoodAsTryingAll(seed: Int) {
        let profiles = BudgetFixtures.model(3, seed: UInt64(seed), largest: 300).map { BudgetFixtures.profile($0) }
        let candidates = candidates(profiles)
        let hulls = candidates.map(\.hull)
        var all = [(bytes: 0, error: 0.0)]
        for hull in hulls {
            all = all.flatMap { some in hull.map { (some.bytes + $0.byteBound, some.error + $0.expectedError) } }
        }
        for byteCount in stride(from: 0, to: 3000, by: 137) {
            let allocator = BudgetAllocator(candidates, byteCount: byteCount)
            let best = all.filter { $0.bytes <= byteCount }.map(\.error).min() ?? .infinity
            #expect(allocator.expectedError <= best + hullGap(hulls, byteCount) + 1e-9 * best)
            #expect(allocator.plans.reduce(0) { $0 + $1.byteBound } <= byteCount)
            // Exactly on the hull of all, nothing is better.
            let bytes = allocator.plans.reduce(0) { $0 + $1.byteBound }
            let onHull = zip(allocator.plans, hulls).allSatisfy { $1.contains($0) }
            if onHull, isLagrangian(allocator.plans, hulls) {
                let bestOfThese = all.filter { $0.bytes <= bytes }.map(\.error).min() ?? .infinity
                #expect(abs(allocator.expectedError - bestOfThese) <= 1e-9 * bestOfThese)
            }
        }
    }

    @Test func moreBytesNeverMakeItWorse() {
        for seed in 10..<16 as Range<UInt64> {
            let model = BudgetFixtures.model(seed == 10 ? 1 : 8, seed: seed)
            let candidates = candidates(model.map { BudgetFixtures.profile($0) })
            var before = Double.infinity
            for byteCount in stride(from: 0, to: 12_000, by: 61) {
                let error = BudgetAllocator(candidates, byteCount: byteCount).expectedError
                #expect(error <= before * (1 + 1e-12), "seed \(seed), \(byteCount) bytes")
                before = error
            }
        }
    }

    @Test(arguments: 20..<26)
    func recordsNeverExceedTheBudget(seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed))
        let profiles = BudgetFixtures.model(60, seed: UInt64(seed), largest: 800).map { BudgetFixtures.profile($0) }
        for byteCount in [0, 1, 9, 100, 1000, 5000, 20_000, 10_000_000] {
            var allocator = BudgetAllocator(profiles: profiles, scheme: WireScheme(), byteCount: byteCount)
            let planned = allocator.expectedError
            var bytes = 0
            for index in profiles.indices {
                let plan = allocator.plan(forTensor: index)
                if case .largest(let kept, _) = plan.choice { #expect(kept >= 1 && kept < profiles[index].alive) }
                #expect(plan.kept(of: profiles[index].alive) <= max(profiles[index].nonzero, 0) || plan.isDense)
                let record = plan.byteBound - generator.index(below: plan.byteBound / 2 + 1)
                bytes += record
                allocator.spent(record)
            }
            #expect(bytes <= byteCount)
            #expect(allocator.remaining == byteCount - bytes)
            // What records leave of their bounds is used.
            #expect(allocator.expectedError <= planned * (1 + 1e-12))
        }
    }

    @Test(arguments: [0, 1, 2])
    func beatsOneChoiceForAll(seed: Int) {
        let profiles = BudgetFixtures.model(40, seed: UInt64(40 + seed)).map { BudgetFixtures.profile($0) }
        let candidates = profiles.enumerated().map {
            TensorCandidates($1, index: $0, scheme: WireScheme(), isRefined: false)
        }
        let refined = self.candidates(profiles)
        for density in [0.003, 0.01, 0.03, 0.1, 0.3, 0.6, 1] {
            for format in [ValueFormat.float16, .int8, .int6, .int4, .int3, .ternary] {
                if density == 1 && format == .ternary { continue }
                let plans = zip(candidates, profiles).map { candidates, profile -> TensorPlan in
                    let kept = min(max(1, Int(density * Double(profile.alive))), profile.nonzero)
                    guard kept > 0 else { return candidates.hull[0] }
                    return kept == profile.alive ? candidates.dense(format) : candidates.largest(kept, format)
                }
                let bytes = plans.reduce(0) { $0 + $1.byteBound }
                let uniform = plans.reduce(0) { $0 + $1.expectedError }
                let adaptive = BudgetAllocator(refined, byteCount: bytes).expectedError
                #expect(adaptive <= uniform, "\(density) \(format)")
            }
        }
    }

    @Test func aLoneTensorUsesItsBudget() {
        let profile = BudgetFixtures.profile(BudgetFixtures.values(.normal, 100_000, seed: 3))
        for byteCount in [300, 1000, 3000, 10_000, 20_000] {
            let allocator = BudgetAllocator(profiles: [profile], scheme: WireScheme(), byteCount: byteCount)
            #expect(allocator.plans[0].byteBound >= byteCount - 8)
        }
    }

    @Test func savedBytesGoToTheNextTensors() {
        let profiles = (0..<20).map { BudgetFixtures.profile(BudgetFixtures.values(.normal, 500, seed: UInt64($0))) }
        var allocator = BudgetAllocator(profiles: profiles, scheme: WireScheme(), byteCount: 1500)
        let before = allocator.plan(forTensor: 19)
        for index in 0..<19 { allocator.spent(allocator.plan(forTensor: index).byteBound / 2) }
        #expect(allocator.plan(forTensor: 19).expectedError < before.expectedError / 2)
    }

    @Test func valuesThatNeedFloat32GetIt() {
        var values = BudgetFixtures.values(.normal, 300, seed: 1)
        values[5] = 0x1p121
        let allocator = BudgetAllocator(
            profiles: [BudgetFixtures.profile(values)], scheme: WireScheme(), byteCount: 700)
        #expect(allocator.plans[0].format == .float32)
        #expect(allocator.plans[0].expectedError < 1e6)
    }

    /// Orders of magnitude are what this is about: a few seconds in a debug build.
    @Test(.timeLimit(.minutes(1))) func manyTensorsArePlannedInTime() {
        let some = BudgetFixtures.model(50, seed: 77).map { BudgetFixtures.profile($0) }
        let profiles = (0..<500).map { some[$0 % some.count] }
        var allocator = BudgetAllocator(profiles: profiles, scheme: WireScheme(), byteCount: 50_000)
        var spent = 0
        for index in profiles.indices {
            // What each leaves goes to those behind it, which are planned again.
            let bytes = allocator.plan(forTensor: index).byteBound * 9 / 10
            allocator.spent(bytes)
            spent += bytes
        }
        #expect(spent <= 50_000)
    }

    private func candidates(_ profiles: [MagnitudeProfile]) -> [TensorCandidates] {
        profiles.enumerated().map { TensorCandidates($1, index: $0, scheme: WireScheme(), isRefined: true) }
    }

    /// How far below whole steps a part of the first step that does not fit could bring the error, if steps were
    /// divisible: no choice is better than that.
    private func hullGap(_ hulls: [[TensorPlan]], _ byteCount: Int) -> Double {
        let steps = hulls.flatMap { zip($0, $0.dropFirst()) }
        func gain(_ step: (TensorPlan, TensorPlan)) -> Double { TensorCandidates.gainPerByte(step.0, step.1) }
        var left = byteCount
        for (less, more) in steps.sorted(by: { gain($0) > gain($1) }) {
            guard more.byteBound - less.byteBound <= left else {
                return TensorCandidates.gainPerByte(less, more) * Double(left)
            }
            left -= more.byteBound - less.byteBound
        }
        return 0
    }

    /// Whether each step taken gains at least as much a byte as each step not taken.
    private func isLagrangian(_ plans: [TensorPlan], _ hulls: [[TensorPlan]]) -> Bool {
        var taken = Double.infinity
        var open = 0.0
        for (plan, hull) in zip(plans, hulls) {
            guard let level = hull.firstIndex(of: plan) else { return false }
            if level > 0 { taken = min(taken, TensorCandidates.gainPerByte(hull[level - 1], plan)) }
            if level + 1 < hull.count { open = max(open, TensorCandidates.gainPerByte(plan, hull[level + 1])) }
        }
        return taken >= open
    }
}

extension TensorPlan {
    fileprivate var isDense: Bool { if case .dense = choice { true } else { false } }
}
