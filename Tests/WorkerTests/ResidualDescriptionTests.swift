import Foundation
import Tensors
import Testing

@testable import Worker

struct ResidualDescriptionTests {
    private static func describe(_ tensors: NamedTensors) throws -> ResidualDescription {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("residual-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: url) }
        try Safetensors.write(tensors, path: url.path)
        return try ResidualDescription(describing: SafetensorsFile(MappedFile(path: url.path), path: "residual"))
    }

    @Test func momentumIsToldFromWhatIsOwed() throws {
        let description = try Self.describe(
            NamedTensors([
                ("a", Tensor([3, 0] as [Float], shape: [2])),
                ("momentum:a", Tensor([100, -200] as [Float], shape: [2])),
                ("momentum:of nobody", Tensor([-4] as [Float], shape: [1, 1])),
            ]))
        #expect(description.tensors.map(\.name) == ["a", "a", "momentum:of nobody"])
        #expect(description.tensors.map(\.momentum) == [false, true, false])
        #expect(description.norm == 5, "momentum is not owed")
        let (owed, momentum) = (description.tensors[0], description.tensors[1])
        #expect(owed.norm == 3 && owed.zeros == 1 && owed.largestMagnitude == 3)
        #expect(momentum.largestMagnitude == 200 && momentum.shape == [2])
        #expect(description.tensors[2].shape == [1, 1])
        let copy = try JSONDecoder().decode(ResidualDescription.self, from: JSONEncoder().encode(description))
        #expect(copy == description)
    }

    @Test func nothingOwedIsAResidualToo() throws {
        let description = try Self.describe(NamedTensors())
        #expect(description.tensors.isEmpty && description.norm == 0)
    }

    @Test func integersAreNoResidual() {
        #expect(throws: TensorError.wrongElementType(name: "x", expected: .float32, found: .int16)) {
            try Self.describe(NamedTensors([("x", Tensor(zeros: [2], elementType: .int16))]))
        }
    }
}
