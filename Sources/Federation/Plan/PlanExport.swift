// Reads `export`.

extension PlanReader {
    /// - Parameter isQuantized: whether the plan has a `quantize` stage.
    func export(in top: PlanSection, isQuantized: Bool) throws(PlanError) -> ExportPlan {
        let section =
            try top.section("export", place: "export", keys: PlanKeys.export)
            ?? .absent(path: path, place: "export", line: top.line, keys: PlanKeys.export)
        let target = try section.choice(
            "target", Choices(ExportTarget.self, toCome: PlanWordsToCome.targets),
            default: isQuantized ? .x86 : .float32)
        guard isQuantized || !target.hasIntegerWeights else {
            throw section.error(
                "target",
                "target '\(target.rawValue)' has integer weights: add a 'quantize' stage or write target: float32")
        }
        guard !isQuantized || target.hasIntegerWeights else {
            throw section.error(
                "target",
                "target '\(target.rawValue)' has no integer weights: remove the 'quantize' stage or write target: x86")
        }
        let opset = try section.integer("opset", 13...25, default: target.defaultOpset)
        guard opset >= target.leastOpset else {
            throw section.error(
                "opset",
                "'opset' in export is \(opset), but target '\(target.rawValue)' needs \(target.leastOpset) or more")
        }
        let isStrict = try section.boolean("strict", default: false)
        guard !isStrict || target.hasIntegerWeights else {
            throw section.error(
                "strict",
                "'strict' in export needs a target of integer weights: all of target '\(target.rawValue)' is float")
        }
        return ExportPlan(
            target: target, opset: opset, measure: try section.boolean("measure", default: true), strict: isStrict)
    }
}
