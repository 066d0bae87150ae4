import Foundation
import Testing

@testable import UpdateCodec

/// Expected errors against quantizers written here as plainly as possible.
@Suite struct BudgetErrorTests {
    static let formats: [ValueFormat] = [.float16, .int8, .int6, .int4, .int3, .int2, .ternary, .sign]

    @Test(arguments: BudgetFixtures.Shape.allCases, formats)
    func errorsAreThoseOfRealQuantizers(shape: BudgetFixtures.Shape, format: ValueFormat) {
        let values = BudgetFixtures.values(shape, 20_000, seed: 7, scale: 0.02)
        for scheme in [WireScheme(), WireScheme(scaling: .largest), WireScheme(blockSize: 64, scaling: .leastSquares)] {
            for kept in [200, 2_000, 20_000] {
                let plan = plan(values, kept, format, scheme)
                let real = realError(values, kept, format, scheme)
                #expect(
                    abs(plan.expectedError - real) <= 0.15 * real,
                    "\(shape) \(format) \(kept) \(scheme.scaling): \(plan.expectedError) for \(real)")
                // Without what selection leaves out, which is easy to tell.
                let dropped = realError(values, kept, .float32, scheme)
                #expect(
                    abs(plan.expectedError - real) <= 0.2 * (real - dropped) + 0.02 * dropped,
                    "\(shape) \(format) \(kept) \(scheme.scaling): \(plan.expectedError) for \(real)"
                )
            }
        }
    }

    @Test(arguments: [ValueFormat.int8, .int4, .int2, .sign])
    func stochasticRoundingCostsMore(format: ValueFormat) {
        let values = BudgetFixtures.values(.normal, 20_000, seed: 8)
        let scheme = WireScheme(rounding: .stochastic)
        let real = realError(values, values.count, format, scheme)
        #expect(abs(plan(values, values.count, format, scheme).expectedError - real) <= 0.15 * real)
    }

    @Test(arguments: [ValueFormat.int4, .int3, .int2, .ternary])
    func rotatedValuesAreNormal(format: ValueFormat) {
        let heavy = BudgetFixtures.values(.laplace, 20_000, seed: 9)
        let square = heavy.reduce(0.0) { $0 + Double($1) * Double($1) } / 20_000
        let normal = BudgetFixtures.values(.normal, 20_000, seed: 9, scale: square.squareRoot())
        let rotated = dense(heavy, format, WireScheme(rotates: true)).expectedError
        let real = realError(normal, normal.count, format == .ternary ? .sign : format, WireScheme())
        #expect(abs(rotated - real) <= 0.15 * real)
    }

    @Test func oneValueIsNearlyExact() {
        let plan = candidates([0, 0, 3, 0], WireScheme()).largest(1, .ternary)
        #expect(plan.expectedError < 1e-3)
    }

    private func candidates(_ values: [Float], _ scheme: WireScheme) -> TensorCandidates {
        TensorCandidates(BudgetFixtures.profile(values), index: 0, scheme: scheme, isRefined: false)
    }

    private func dense(_ values: [Float], _ format: ValueFormat, _ scheme: WireScheme) -> TensorPlan {
        candidates(values, scheme).dense(format)
    }

    private func plan(_ values: [Float], _ kept: Int, _ format: ValueFormat, _ scheme: WireScheme) -> TensorPlan {
        kept == values.count ? dense(values, format, scheme) : candidates(values, scheme).largest(kept, format)
    }

    private func realError(_ values: [Float], _ kept: Int, _ format: ValueFormat, _ scheme: WireScheme) -> Double {
        let ranks = values.indices.sorted { (values[$0].magnitude, $1) > (values[$1].magnitude, $0) }[..<kept].sorted()
        let sent = ranks.map { Double(values[$0]) }
        let all = values.reduce(0.0) { $0 + Double($1) * Double($1) }
        let dropped = all - sent.reduce(0.0) { $0 + $1 * $1 }
        return stride(from: 0, to: sent.count, by: scheme.blockSize).reduce(dropped) {
            $0 + ReferenceQuantizer.error(Array(sent[$1..<min($1 + scheme.blockSize, kept)]), format, scheme)
        }
    }
}

/// Squared errors of one block.
private enum ReferenceQuantizer {
    static func error(_ block: [Double], _ format: ValueFormat, _ scheme: WireScheme) -> Double {
        let largest = block.map(\.magnitude).max() ?? 0
        let isStochastic = scheme.rounding == .stochastic
        switch format {
        case .float32: return 0
        case .float16: return sum(block) { Double(Float16($0 * 1024)) / 1024 }
        case .sign where isStochastic: return block.reduce(0) { $0 + largest * largest - $1 * $1 }
        case .ternary, .sign:
            let mean = block.reduce(0) { $0 + $1.magnitude } / Double(block.count)
            return sum(block) { $0 < 0 ? -mean : mean }
        default: break
        }
        let levels: [Double] =
            format.hasHalfSteps ? [-1.5, -0.5, 0.5, 1.5] : (-format.levels...format.levels).map(Double.init)
        let clips =
            !isStochastic && (scheme.scaling == .leastSquares || scheme.scaling == .automatic && format.bitCount <= 3)
        let factors = clips ? (0...14).map { 1 - Double($0) / 20 } : [1]
        let reach = levels[levels.count - 1]
        return factors.map { factor in
            let step = factor * largest / reach
            if isStochastic {
                return block.reduce(0) { total, x in
                    let fraction = (x / step - reach) - (x / step - reach).rounded(.down)
                    return total + fraction * (1 - fraction) * step * step
                }
            }
            return sum(block) { x in
                let place = (x / step - levels[0]).rounded()
                return levels[min(max(Int(place), 0), levels.count - 1)] * step
            }
        }.min() ?? 0
    }

    private static func sum(_ block: [Double], _ decoded: (Double) -> Double) -> Double {
        block.reduce(0) { $0 + ($1 - decoded($1)) * ($1 - decoded($1)) }
    }
}
