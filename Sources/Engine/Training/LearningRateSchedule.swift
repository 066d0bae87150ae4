import Foundation

/// The learning rate over a run's steps: a pure value. A step is one update of the parameters, counted from 0.
public struct LearningRateSchedule: Sendable, Equatable {
    /// What follows the warm-up; `t` counts from its end, `n` is the number of steps after it.
    public enum Shape: Sendable, Equatable {
        /// The peak rate throughout.
        case constant
        /// From the peak to `floor` x peak: `CosineAnnealingLR(T_max=n, eta_min=floor * peak)` (Loshchilov & Hutter 2017,
        /// eq. 5).
        case cosine(floor: Double)
        /// `OneCycleLR(max_lr=peak, total_steps=n, pct_start=0.3, div_factor=25, final_div_factor=1e4)` with cosine
        /// annealing (Smith & Topin 2018). With `cyclesMomentum` the momentum goes the other way, from 0.95 to 0.85
        /// and back.
        case oneCycle(cyclesMomentum: Bool)
        /// Times `factor` after each `every` steps: `StepLR(step_size=every, gamma=factor)`.
        case step(every: Int, factor: Double)
    }

    public var shape: Shape
    /// Steps of rising rate: step s of W has (s + 1) / W of the peak, as `LinearLR(start_factor=1/W, total_iters=W-1)`.
    public var warmUpSteps: Int

    public init(_ shape: Shape = .constant, warmUpSteps: Int = 0) {
        self.shape = shape
        self.warmUpSteps = warmUpSteps
    }

    public static let constant = LearningRateSchedule()
    public static func cosine(floor: Double = 0, warmUpSteps: Int = 0) -> LearningRateSchedule {
        LearningRateSchedule(.cosine(floor: floor), warmUpSteps: warmUpSteps)
    }
    public static func oneCycle(cyclesMomentum: Bool = false, warmUpSteps: Int = 0) -> LearningRateSchedule {
        LearningRateSchedule(.oneCycle(cyclesMomentum: cyclesMomentum), warmUpSteps: warmUpSteps)
    }
    public static func step(every: Int, factor: Double, warmUpSteps: Int = 0) -> LearningRateSchedule {
        LearningRateSchedule(.step(every: every, factor: factor), warmUpSteps: warmUpSteps)
    }

    /// - Throws: `EngineError.badSetting` for a number outside its range.
    public func validate() throws(EngineError) {
        guard warmUpSteps >= 0 else { throw .badSetting("warm-up is \(warmUpSteps) steps: give 0 or more") }
        switch shape {
        case .cosine(let floor) where !(0...1).contains(floor):
            throw .badSetting("the cosine's floor is \(floor): give a share of the rate, 0 to 1")
        case .step(let every, let factor) where every < 1 || !(factor > 0 && factor.isFinite):
            throw .badSetting("the rate is multiplied by \(factor) every \(every) steps: give positive numbers")
        default: break
        }
    }

    /// The rate of a step. Steps at or beyond `total` have the last step's rate.
    /// - Parameters:
    ///   - step: from 0.
    ///   - total: steps of the whole run, warm-up included.
    ///   - peak: the optimizer's learning rate.
    public func rate(at step: Int, of total: Int, peak: Double) -> Double {
        let step = Swift.max(0, Swift.min(step, total - 1))
        if step < warmUpSteps { return peak * Double(step + 1) / Double(warmUpSteps) }
        let t = step - Swift.max(0, warmUpSteps)
        let n = Swift.max(1, total - Swift.max(0, warmUpSteps))
        switch shape {
        case .constant: return peak
        case .cosine(let floor):
            return peak * (floor + (1 - floor) * (1 + cos(.pi * Double(t) / Double(n))) / 2)
        case .oneCycle:
            let start = peak / Self.cycleDivisor
            return Self.cycle(t, of: n, start: start, middle: peak, end: start / Self.cycleFinalDivisor)
        case .step(let every, let factor): return peak * pow(factor, Double(t / Swift.max(1, every)))
        }
    }

    /// The momentum (AdamW's and LAMB's beta1) of a step; nil where the schedule leaves it alone.
    public func momentum(at step: Int, of total: Int) -> Double? {
        guard case .oneCycle(cyclesMomentum: true) = shape else { return nil }
        let step = Swift.max(0, Swift.min(step, total - 1))
        let t = Swift.max(0, step - Swift.max(0, warmUpSteps))
        let n = Swift.max(1, total - Swift.max(0, warmUpSteps))
        return Self.cycle(t, of: n, start: 0.95, middle: 0.85, end: 0.95)
    }

    private static let cycleRise = 0.3
    private static let cycleDivisor = 25.0
    private static let cycleFinalDivisor = 1e4

    /// PyTorch's two phases: to the middle by step 0.3 n - 1, which need not be a whole number, then to the end.
    private static func cycle(_ t: Int, of n: Int, start: Double, middle: Double, end: Double) -> Double {
        let rise = cycleRise * Double(n) - 1
        let (from, to, first, last) =
            Double(t) <= rise ? (start, middle, 0, rise) : (middle, end, rise, Double(n - 1))
        // A phase of one step is at its end at once.
        let share = last > first ? (Double(t) - first) / (last - first) : 1
        return to + (from - to) / 2 * (1 + cos(.pi * share))
    }
}
