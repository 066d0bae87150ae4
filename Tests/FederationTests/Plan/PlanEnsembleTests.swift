import Testing

@testable import Federation

/// What a plan says of ensembles, and what it may not.
struct PlanEnsembleTests {
    private static func parse(_ stages: String, _ extra: String = "") throws(PlanError) -> Plan {
        try Plan.parse(planText(extra, stages: stages), path: "plans/p.yaml", environment: ["DIR": "m"])
    }

    @Test func everyKeyIsRead() throws {
        let plan = try Self.parse(
            "[{distill: {rounds: 3, teacher: {file: t.onnx}, ensemble: {temperature: 2, alpha: 0.5, epochs: 0.5, mutual: true}}}]",
            "public: \"idx:${DIR}?holdout=9&part=public\"\nfleet: {workers: 3, students: [shared, cnn, \"${DIR}/own.onnx\"]}"
        )
        #expect(plan.publicData == "idx:m?holdout=9&part=public")
        #expect(plan.fleet.students == [.shared, .architecture("cnn"), .file("plans/m/own.onnx")])
        #expect(plan.fleet.student(ofWorker: 4) == .architecture("cnn"))
        #expect(plan.fleet.students.map(\.argument) == [nil, "cnn", "plans/m/own.onnx"])
        #expect(
            plan.stages[0].ensemble == EnsemblePlan(temperature: 2, alpha: 0.5, epochs: 0.5, isMutual: true))
        #expect(plan.stages[0].teacher?.files == ["plans/t.onnx"])
        #expect(plan.hasEnsemble && plan.roundsPlanned == 3 * 2 + 1)
    }

    @Test(arguments: ["{}", ""]) func anEnsembleWithoutKeysHasTheDefaults(text: String) throws {
        let plan = try Self.parse("[{distill: {ensemble: \(text)}}]")
        #expect(plan.stages[0].ensemble == EnsemblePlan())
        #expect(plan.stages[0].teacher == nil && plan.fleet.students == [.shared])
    }

    @Test func workersThatAreTooFewAreToldOf() throws {
        var plan = try Self.parse(
            "[{distill: {ensemble: {mutual: true}}}]", "fleet: {workers: 3, students: [cnn, mlp, shared]}")
        #expect(plan.needOfMembers == nil)
        plan.fleet.ask(workers: 2)
        #expect(plan.needOfMembers?.contains("needs 'shared' among the first 2") == true)
        plan.fleet.students = [.shared]
        #expect(plan.needOfMembers == nil)
        plan.fleet.ask(workers: 1)
        #expect(plan.needOfMembers?.contains("'quorum' in fleet of at least 2") == true)
    }

    @Test(arguments: [
        ("[{distill: {rounds: 1}}]", "", "lacks the key 'teacher'"),
        ("[{distill: {ensemble: {}, alpha: 0.5}}]", "", "'alpha' in stage 'distill' is the teacher's"),
        ("[{distill: {ensemble: {temperature: 0}}}]", "", "'temperature' in ensemble of stage 'distill' must be"),
        ("[{distill: {ensemble: {weight: 2}}}]", "", "unknown key 'weight' in ensemble of stage 'distill'"),
        ("[{distill: {ensemble: true}}]", "", "ensemble of stage 'distill' must be a mapping"),
        ("[train]", "fleet: {students: [shared, cnn]}", "'students' in fleet needs a stage such as"),
        ("[train]", "public: \"idx:a\"", "'public' needs a stage such as"),
        ("[{distill: {ensemble: {}}}]", "public: a", "'public' must be a SPEC"),
        (
            "[{distill: {ensemble: {}}}]", "fleet: {students: [cn]}",
            "unknown student 'cn' in fleet; did you mean 'cnn'?"
        ),
        ("[{distill: {ensemble: {}}}]", "fleet: {students: [cnn]}", "needs 'shared' among the first 2"),
        ("[{distill: {ensemble: {}}}]", "fleet: {students: []}", "must be a list of 1 to 1024 students"),
        ("[{distill: {ensemble: {}}}]", "fleet: {rounds: asynchronous}", "'ensemble' needs rounds: synchronous"),
        ("[{distill: {ensemble: {}}}]", "fleet: {widths: [1, 0.5]}", "'ensemble' and widths below 1 in fleet exclude"),
        ("[{distill: {ensemble: {}, correction: scaffold}}]", "", "correction 'scaffold' and 'ensemble'"),
        ("[{distill: {ensemble: {mutual: true}}}]", "fleet: {quorum: 1}", "'quorum' in fleet of at least 2"),
        ("[{distill: {ensemble: {mutual: true}}}]", "fleet: {workers: 1}", "'quorum' in fleet of at least 2"),
    ])
    func whatCannotGoTogetherIsRefused(stages: String, extra: String, message: String) {
        #expect {
            try Self.parse(stages, extra)
        } throws: { error in
            "\(error)".contains(message)
        }
    }
}
