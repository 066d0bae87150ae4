import CKernels
import Testing

struct StepTests {
    struct Candidate {
        var step: Double
        var error: Double
    }

    /// As quantize.c does it: x and steps scaled so that the largest is in [1, 2), rests in float32, sums of sixteen
    /// elements a lane in float32 and of these in double, where what is left of the last vector is added by itself.
    static func candidates(_ x: [Float], _ largest: Float, _ levels: Int32, _ halfSteps: Bool) -> [Candidate] {
        let shift: Float = halfSteps ? 0.5 : 0
        let high = Float(levels)
        let low = halfSteps ? -high - 1 : -high
        let unit = 1 / Double(sign: .plus, exponent: Int(largest.exponent), significand: 1)
        return (0..<15).map { number in
            let step = Double(largest) * unit * Double(20 - number) / 20 / (Double(levels) + Double(shift))
            let inverse = Float(1 / step)
            var lanes = [Double](repeating: 0, count: 8)
            for start in stride(from: 0, to: x.count, by: 256) {
                var sums = [Float](repeating: 0, count: 16)
                var leftOver: [Double] = []
                for index in start..<min(start + 256, x.count) {
                    let quotient = Float(Double(x[index]) * unit) * inverse - shift
                    let rest = quotient - min(max(quotient, low), high).rounded(.toNearestOrEven)
                    if index - start < (x.count - start) / 16 * 16 {
                        sums[(index - start) % 16] += rest * rest
                    } else {
                        leftOver.append(Double(rest * rest))
                    }
                }
                for lane in 0..<8 { lanes[lane] += Double(sums[lane]) + Double(sums[lane + 8]) }
                for (index, square) in leftOver.enumerated() { lanes[index % 8] += square }
            }
            return Candidate(step: step / unit, error: KernelFixtures.treeSum(lanes) * (step * step))
        }
    }

    @Test(arguments: KernelFixtures.counts.filter { $0 > 0 }) func theBestStepIsTaken(_ count: Int) {
        for (levels, halfSteps) in QuantizeTests.shapes {
            for scale in [1, 0x1p-140, 0x1p125, 3e-5] as [Float] {
                var values = KernelFixtures.bellShaped(count, seed: UInt64(count), scale: scale)
                values[count / 2] = 4.5 * scale
                let largest = values.map(\.magnitude).max() ?? 0
                let x = Guarded(values)
                let step = pleach_least_squares_step(x.base, count, largest, levels, halfSteps)
                let candidates = Self.candidates(values, largest, levels, halfSteps)
                let least = candidates.map(\.error).min()
                #expect(step == candidates.first { $0.error == least }?.step)
            }
        }
    }

    /// In double throughout, without any of the definition's arithmetic.
    @Test func theStepIsAsGoodAsExactArithmeticFinds() {
        for (levels, halfSteps) in QuantizeTests.shapes {
            let values = KernelFixtures.bellShaped(3_000, seed: 8)
            let largest = Double(values.map(\.magnitude).max() ?? 0)
            let shift = halfSteps ? 0.5 : 0
            func error(_ step: Double) -> Double {
                values.reduce(0) { sum, value in
                    let code = (Double(value) / step - shift).rounded(.toNearestOrEven)
                    let kept = min(max(code, halfSteps ? -Double(levels) - 1 : -Double(levels)), Double(levels))
                    let rest = Double(value) - (kept + shift) * step
                    return sum + rest * rest
                }
            }
            let least = (0..<15).map { error(largest * Double(20 - $0) / 20 / (Double(levels) + shift)) }.min() ?? 0
            let step = pleach_least_squares_step(values, values.count, Float(largest), levels, halfSteps)
            #expect(error(step) <= least * 1.0001)
        }
    }

    @Test func tiesGoToLessClipping() {
        let zeros = [Float](repeating: 0, count: 40)
        #expect(pleach_least_squares_step(zeros, 40, 7, 7, false) == 1)
    }
}
