import ArgumentParser
import Compression
import ModelGraph

/// Options of `pleach model quantize` that would do nothing: each is refused with what it lacks.
struct QuantizationOptionChecks {
    let target: DeploymentTarget
    let form: QuantizationForm
    let budget: QuantizationBudget
    let method: QuantizationMethod
    let hasData: Bool

    func run() throws {
        try checkTarget()
        try checkMeasuring()
    }

    /// - Parameter lack: why there is nothing to decide, with the mend.
    private func refuse(_ options: [(name: String, isGiven: Bool)], _ lack: String, unless holds: Bool) throws {
        guard !holds, let first = options.first(where: \.isGiven) else { return }
        throw ValidationError("\(first.name) has no effect: \(lack)")
    }

    private var hasBudget: Bool { budget.averageBits != nil || budget.bytes != nil || budget.bitOperations != nil }

    private func checkTarget() throws {
        let name = "target '\(target.rawValue)'"
        try refuse(
            [
                ("--bits", budget.bits != nil), ("--average-bits", budget.averageBits != nil),
                ("--bytes", budget.bytes != nil), ("--bit-operations", budget.bitOperations != nil),
                ("--rounding", method.rounding != nil), ("--levels", method.levels != nil),
                ("--per", method.per != nil), ("--block", method.block != nil), ("--range", method.range != nil),
                ("--asymmetric", method.asymmetric), ("--power-of-two", method.powerOfTwo),
                ("--equalize", method.equalize), ("--no-bias-correction", method.noBiasCorrection),
                ("--exclude", !method.exclude.isEmpty), ("--unpacked", form.unpacked),
            ], "\(name) has no integer weights; leave it away, or choose another --target",
            unless: target.hasIntegerWeights)
        try refuse(
            [("--calibration", method.calibration != nil), ("--percentile", method.percentile != nil)],
            "\(name) quantizes no values ahead; leave it away, or choose x86, x86-no-vnni, arm or tensorrt",
            unless: target.needsCalibration)
        try refuse(
            [("--unpacked", form.unpacked)], "\(name) never packs weights; leave it away",
            unless: target != .tensorrt && target != .int4)
        let isPackable = hasBudget || budget.bits.map { $0 < 8 } ?? (WeightScheme(for: target).bits < 8)
        try refuse(
            [("--unpacked", form.unpacked)], "weights of 8 bits are never packed; leave it away, or give --bits 2 to 7",
            unless: isPackable || method.levels.map { $0 != "uniform" } ?? false)
    }

    private func checkMeasuring() throws {
        try refuse(
            [
                ("--samples", method.samples != nil), ("--compared-samples", method.comparedSamples != nil),
                ("--no-bias-correction", method.noBiasCorrection),
            ], "nothing is measured without data; leave it away, or give --data SPEC", unless: hasData)
        let needsMoments =
            target.hasIntegerWeights && (!method.noBiasCorrection || ![nil, "nearest"].contains(method.rounding))
        try refuse(
            [("--samples", method.samples != nil)],
            "nothing is measured for target '\(target.rawValue)' with these options; leave it away (--compared-samples says how "
                + "many are compared)", unless: target.needsCalibration || needsMoments)
        try refuse(
            [("--sensitivity-samples", method.sensitivitySamples != nil)],
            "only budgets ask what each layer's bits cost; leave it away, or give --average-bits, --bytes or --bit-operations",
            unless: hasBudget)
        try refuse(
            [("--percentile", method.percentile != nil)], "only --calibration percentile reads it; leave it away",
            unless: [nil, "percentile"].contains(method.calibration))
    }
}
