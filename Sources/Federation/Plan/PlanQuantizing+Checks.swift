/// What a `quantize` stage cannot be, and options that would do nothing there.
struct QuantizeChecks {
    let plan: QuantizePlan
    let section: PlanSection

    private var rules: QuantizeRules { plan.rules }
    private var weights: WeightRules { plan.rules.weights }
    private var target: ExportTarget { plan.rules.scope.target }
    private var isCodebook: Bool { weights.levels != .uniform }
    private var hasBlocks: Bool { if case .block? = weights.sharing { true } else { false } }

    func run() throws(PlanError) {
        try checkScheme()
        try checkBits()
        try checkMeasuring()
        try checkTraining()
    }

    private func refuse(_ key: String, _ sentence: String, unless holds: Bool) throws(PlanError) {
        guard holds else { throw section.error(key, sentence) }
    }

    /// A key that is written although nothing reads it.
    private func needs(_ key: String, _ wanted: String, _ holds: Bool) throws(PlanError) {
        try refuse(key, "'\(key)' in \(section.place) needs \(wanted)", unless: holds || !section.has(key))
    }

    // MARK: What targets can hold

    private func checkScheme() throws(PlanError) {
        let name = target.rawValue
        let isForWeightsAlone = target == .int4 || target == .int8Weights
        try refuse(
            "symmetric", "target '\(name)' has no zero points of weights; remove 'symmetric: false'",
            unless: weights.isSymmetric || isForWeightsAlone)
        try refuse(
            "scales", "target '\(name)' has no scales of blocks; write scales: channel",
            unless: !hasBlocks || isForWeightsAlone)
        try refuse(
            "scales", "scales of blocks need opset: 21 or more in export, found \(rules.opset)",
            unless: !hasBlocks || rules.opset >= 21)
        let levels = "levels '\(weights.levels)' in \(section.place)"
        try refuse(
            "levels", "\(levels) cannot be held by target '\(name)'; write levels: uniform",
            unless: !isCodebook || (target != .int4 && target != .tensorrt))
        try refuse(
            "levels", "\(levels) have no zero points; remove 'symmetric: false' or write levels: uniform",
            unless: !isCodebook || weights.isSymmetric)
        try refuse(
            "levels", "\(levels) have no scales of blocks; write scales: channel or levels: uniform",
            unless: !isCodebook || !hasBlocks)
        try refuse(
            "packed", "target '\(name)' takes plain bytes; remove 'packed'",
            unless: target != .tensorrt || !section.has("packed") || !rules.packs)
    }

    // MARK: How many bits

    private func checkBits() throws(PlanError) {
        let most = rules.mostBits
        let bound =
            most < target.mostBits
            ? weights.levels == .powersOfTwo
                ? "powers of two have at most 4 bits in a file" : "a codebook of 8 bits cannot be stored"
            : "target '\(target.rawValue)' has at most \(most) bits"
        try refuse(
            "bits", "'bits' in \(section.place) is \(weights.bits ?? 0), but \(bound); give 2 to \(most)",
            unless: weights.bits ?? 0 <= most)
        try checkBudget(bound)
    }

    private func checkBudget(_ bound: String) throws(PlanError) {
        var (isBudgetOfBits, isMilliseconds) = (true, false)
        switch rules.amount {
        case .same: isBudgetOfBits = false
        case .milliseconds: (isBudgetOfBits, isMilliseconds) = (false, true)
        case .averageBits, .bytes, .bitOperations: break
        }
        try needs("candidates", "a budget: averageBits, bytes or bitOperations", isBudgetOfBits)
        try refuse(
            "milliseconds", "'milliseconds' in \(section.place) needs levels: uniform: codebooks save no time",
            unless: !isMilliseconds || !isCodebook)
        guard let largest = rules.candidates.last, let least = rules.candidates.first else { return }
        try refuse(
            "candidates", "'candidates' in \(section.place) hold \(largest), but \(bound); leave it out",
            unless: largest <= rules.mostBits)
        guard case .averageBits(let average) = rules.amount else { return }
        try refuse(
            "averageBits",
            "'averageBits' in \(section.place) must lie between the least and the most of its candidates, "
                + "\(least) and \(largest), found \(PlanDuration.plain(average))",
            unless: (Double(least)...Double(largest)).contains(average))
    }

    // MARK: What is measured

    private func checkMeasuring() throws(PlanError) {
        for key in ["calibration", "percentile"] {
            try needs(
                key, "a target whose values are integers: x86, x86-no-vnni, arm or tensorrt", target.needsCalibration)
        }
        try needs("percentile", "calibration: percentile", rules.method == .percentile)
        try needs(
            "samples", "something to measure: correctBiases: true, another rounding, or another target",
            target.needsCalibration || plan.needsMoments)
        try needs(
            "sensitivitySamples", "a budget of bits or 'maximumDrop'",
            !plan.bitsOfBudget.isEmpty || plan.maximumDrop != nil)
    }

    // MARK: Training

    private func checkTraining() throws(PlanError) {
        try needs("frozenStatistics", "rounds above 0", plan.rounds > 0)
        for key in PlanKeys.quantizeTraining where plan.rounds == 0 && section.has(key) {
            // What a pass that measures statistics reads.
            let isRead = plan.reestimates && (key == "epochs" || key == "batch")
            try needs(key, "rounds above 0", isRead)
        }
        guard plan.isSimulated else { return }
        let key = plan.rounds > 0 ? "rounds" : "reestimate"
        let cannot = "'\(key)' in \(section.place) cannot simulate"
        try refuse(
            key, "\(cannot) target '\(target.rawValue)'; choose another, or leave it out",
            unless: target != .int4 && target != .dynamic)
        try refuse(key, "\(cannot) levels '\(weights.levels)'; write levels: uniform", unless: !isCodebook)
        try refuse(key, "\(cannot) zero points of weights; remove 'symmetric: false'", unless: weights.isSymmetric)
        try refuse(key, "\(cannot) scales of blocks; write scales: channel", unless: !hasBlocks)
        try refuse(
            "powerOfTwo",
            "'powerOfTwo' and '\(key)' in \(section.place) exclude each other: training moves scales away from powers of two",
            unless: !weights.hasPowerOfTwoScales)
        try refuse(
            "rounding",
            "rounding '\(rules.rounding)' and '\(key)' in \(section.place) exclude each other: training decides the codes",
            unless: rules.rounding == .nearest)
        try refuse(
            "equalize",
            "'equalize' and '\(key)' in \(section.place) exclude each other: equalizing would undo the steps that are trained",
            unless: !rules.scope.equalizes)
        for key in ["range", "correctBiases"] where section.has(key) && (key == "range" || rules.correctsBiases) {
            throw section.error(
                key, "'\(key)' in \(section.place) does nothing where rounding is simulated; remove it")
        }
    }
}

extension PlanReader {
    /// What only the whole plan shows.
    func checkQuantizing(_ stages: [StagePlan], _ fleet: FleetRules, in top: PlanSection) throws(PlanError) {
        for case .quantize(let plan) in stages where plan.isSimulated && fleet.hasWidths {
            throw top.error(
                "stages",
                "'\(plan.rounds > 0 ? "rounds" : "reestimate")' in stage 'quantize' and widths below 1 in fleet exclude each "
                    + "other: a narrower model has other ranges")
        }
    }
}
