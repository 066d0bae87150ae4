extension SparsityScheduleKind {
    /// Sparsity after `step` of `steps` (1-based). Cubic is Zhu & Gupta 2017, eq. 1:
    /// s_t = s_f + (s_i − s_f)(1 − t/n)³.
    public func sparsity(step: Int, of steps: Int, from initial: Double, to final: Double) -> Double {
        precondition(step >= 1 && step <= steps, "step \(step) of \(steps)")
        let remaining = 1 - Double(step) / Double(steps)
        return switch self {
        case .oneShot: final
        case .linear: final + (initial - final) * remaining
        case .cubic: final + (initial - final) * remaining * remaining * remaining
        }
    }
}
