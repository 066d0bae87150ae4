import Testing

@testable import Federation

struct PlanTeacherTests {
    private static func teacher(_ stage: String) throws -> TeacherPlan? {
        try Plan.parse(
            "model: {architecture: cnn}\nstages:\n- train\n- \(stage)", path: "a/p.yaml", environment: [:]
        ).stages[1].teacher
    }

    @Test(arguments: ["train", "distill", "prune", "quantize"])
    func everyTrainingStageMayHaveTeachers(kind: String) throws {
        let teacher = try Self.teacher(
            """
            \(kind): {\(kind == "quantize" ? "rounds: 1, " : "")teacher: [{stage: 1}, {file: t.onnx, weight: 2, resize: bilinear}, {own: true, weight: 0.5}],
                temperature: 2, alpha: 1}
            """)
        #expect(
            teacher
                == TeacherPlan(
                    members: [
                        TeacherMember(.stage(0)), TeacherMember(.file("a/t.onnx"), weight: 2, resize: .bilinear),
                        TeacherMember(.own, weight: 0.5),
                    ], temperature: 2, alpha: 1))
        #expect(teacher?.stages == [0] && teacher?.files == ["a/t.onnx"])
    }

    @Test func valuesInsideAreAWeightOrPairs() throws {
        let teacher = try Self.teacher(
            """
            distill: {teacher: {stage: 1}, hiddenStates: 0.5, attentionMaps: {weight: 50, pairs: [[a, b], [c, d]]},
                attentionDivergence: {}}
            """)
        #expect(
            teacher?.features == [
                FeatureTerm(.hiddenStates, weight: 0.5),
                FeatureTerm(
                    .attentionMaps, weight: 50,
                    pairs: [.init(student: "a", teacher: "b"), .init(student: "c", teacher: "d")]),
                FeatureTerm(.attentionDivergence, weight: 1),
            ])
    }

    @Test func withoutATeacherThereIsNone() throws {
        #expect(try Self.teacher("train: {rounds: 2}") == nil)
        #expect(try Self.teacher("evaluate") == nil)
    }

    @Test func ownTeachersComeWithTheirFiles() throws {
        let plan = try Plan.parse(
            """
            model: {architecture: cnn, keepEvery: 2}
            fleet: {workers: 3, teachers: [x.onnx, "${D:-/d}/y.onnx"]}
            stages: [{train: {teacher: {own: true}}}]
            """, path: "a/p.yaml", environment: [:])
        #expect(plan.needsOwnTeachers && plan.keepEvery == 2)
        #expect((0..<3).map(plan.fleet.teacher) == ["a/x.onnx", "/d/y.onnx", "a/x.onnx"])
    }

    @Test(arguments: [
        ("distill: {rounds: 2}", "lacks the key 'teacher'"),
        ("distill: {teacher: []}", "must be a mapping or a list of 1 to 8 mappings, found a list of 0"),
        ("distill: {teacher: t.onnx}", "teacher of stage 'distill' must be a mapping"),
        ("distill: {teacher: {}}", "lacks the key 'stage': or give 'file' or 'own: true'"),
        ("distill: {teacher: {stage: 1, file: t}}", "'stage' and 'file' in teacher of stage 'distill' exclude"),
        ("distill: {teacher: {file: t, own: true}}", "'file' and 'own' in teacher of stage 'distill' exclude"),
        ("distill: {teacher: {stage: 2}}", "'stage' in teacher of stage 'distill' must be an integer from 1 to 1"),
        ("distill: {teacher: {own: false}}", "names no teacher"),
        (
            "distill: {teacher: {stage: 1, resize: nearest}}",
            "'resize' in teacher of stage 'distill' needs 'file' or 'own'"
        ),
        ("distill: {teacher: {file: t, resize: cubic}}", "unknown resize 'cubic'"),
        ("distill: {teacher: {file: t, weight: 2}}", "'weight' in teacher of stage 'distill' needs several teachers"),
        ("distill: {teacher: [{file: t}, {stage: 1, weight: 0}]}", "'weight' in teacher 2 of stage 'distill' must be"),
        ("distill: {teacher: [{file: t}, {file: t}]}", "teacher 2 of stage 'distill' is named twice"),
        ("distill: {teacher: {stage: 1}, temperature: 0}", "'temperature' in stage 'distill' must be a number above 0"),
        ("distill: {teacher: {stage: 1}, alpha: 1.5}", "'alpha' in stage 'distill' must be a number from 0 to 1"),
        (
            "distill: {teacher: {stage: 1}, hiddenStates: 0}",
            "'hiddenStates' in stage 'distill' must be a number above 0"
        ),
        ("distill: {teacher: {stage: 1}, hidenStates: 1}", "did you mean 'hiddenStates'?"),
        ("distill: {teacher: [{file: a}, {file: b}], hiddenStates: 1}", "needs a single teacher, found 2"),
        (
            "distill: {teacher: {stage: 1}, attentionMaps: {pairs: [[a]]}}",
            "must hold [student's value, teacher's value]"
        ),
        ("distill: {teacher: {stage: 1}, attentionMaps: {pairs: []}}", "a list of 1 to 64 pairs"),
        ("train: {loss: meanSquared, teacher: {stage: 1}}", "loss meanSquared has no soft labels"),
        ("prune: {loss: binary, criterion: l2, teacher: {stage: 1}}", "loss binary has no soft labels"),
        ("train: {alpha: 0.5}", "'alpha' in stage 'train' needs a 'teacher'"),
        ("prune: {attentionMaps: 1}", "'attentionMaps' in stage 'prune' needs a 'teacher'"),
        ("quantize: {teacher: {stage: 1}}", "'teacher' in stage 'quantize' needs rounds above 0"),
        ("quantize: {rounds: 1, loss: cosine, teacher: {stage: 1}}", "loss cosine has no soft labels"),
    ])
    func whatCannotWorkIsRefused(stage: String, phrase: String) throws {
        let error = try #require(throws: PlanError.self) { try Self.teacher(stage) }
        #expect(error.message.contains(phrase), "\(error.message)")
        #expect(error.line == 4)
    }

    @Test func blocksThatMayLeaveAreNotNamed() throws {
        let error = try #require(throws: PlanError.self) {
            try Self.teacher("prune: {granularity: layer, teacher: {stage: 1}, hiddenStates: {pairs: [[a, b]]}}")
        }
        #expect(error.message.contains("stage 2 (prune): 'hiddenStates' names values, but granularity 'layer'"))
        #expect(error.line == 2)
    }

    @Test func narrowerModelsHaveNotTheTeachersHeads() throws {
        let error = try #require(throws: PlanError.self) {
            try Plan.parse(
                """
                model: {architecture: transformer}
                fleet: {widths: [1, 0.5]}
                stages: [train, {distill: {teacher: {stage: 1}, hiddenStates: 1, attentionMatrices: 1}}]
                """, path: "p", environment: [:])
        }
        #expect(error.message.contains("'attentionMatrices' and widths below 1 in fleet exclude each other"))
    }

    @Test func teachersThatNobodyAsksForAreRefused() throws {
        let error = try #require(throws: PlanError.self) {
            try Plan.parse(
                "model: {architecture: cnn}\nfleet: {teachers: [x]}\nstages: [train]", path: "p", environment: [:])
        }
        #expect(error.message.contains("'teachers' in fleet needs a stage with teacher: {own: true}"))
    }
}
