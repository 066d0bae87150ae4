import Foundation

extension SparsityScheduleKind {
    /// Sparsity after `step` of `steps` (1-based). Cubic is Zhu & Gupta 2017, eq. 1:
    /// s_t = s_f + (s_i − s_f)(1 − t/n)³. The lottery ticket prunes the same share of what is left in every step.
    public func sparsity(step: Int, of steps: Int, from initial: Double, to final: Double) -> Double {
        precondition(step >= 1 && step <= steps, "step \(step) of \(steps)")
        let remaining = 1 - Double(step) / Double(steps)
        switch self {
        case .oneShot, .dynamic: return final
        case .linear: return final + (initial - final) * remaining
        case .cubic: return final + (initial - final) * remaining * remaining * remaining
        case .lottery:
            guard step < steps, initial < 1, final < 1 else { return final }
            let share = pow((1 - final) / (1 - initial), Double(step) / Double(steps))
            return 1 - (1 - initial) * share
        }
    }

    /// Share of the alive weights that change places at each mask after the first: α/2 (1 + cos(π t / n)) (RigL, Evci et al.
    /// 2020, section 3), from α at the second of `steps` masks on.
    static func regrowth(_ initial: Double, step: Int, of steps: Int) -> Double {
        let position = Double(step - 2) / Double(max(1, steps - 1))
        return initial / 2 * (1 + cos(position * .pi))
    }
}
