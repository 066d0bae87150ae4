import Tensors
import Testing

@testable import Compression

@Test func masksZeroDeadWeightsExactlyAndNothingElse() {
    var alive = Bitmap(repeating: true, count: 4)
    alive[1] = false
    alive[3] = false
    let masks = MaskSet(epoch: 1, bitmaps: ["a": alive, "absent": alive])
    var tensors = NamedTensors([
        ("a", Tensor([1, -2, 3, -.infinity] as [Float], shape: [2, 2])),
        ("b", Tensor([-0.0, 5] as [Float], shape: [2])),
    ])
    masks.apply(to: &tensors)
    #expect(tensors["a"]?.floats.map(\.bitPattern) == ([1, 0, 3, 0] as [Float]).map(\.bitPattern))
    #expect(tensors["b"]?.floats.map(\.bitPattern) == ([-0.0, 5] as [Float]).map(\.bitPattern))
    #expect(tensors.names == ["a", "b"])
    #expect(masks.sparsity(over: tensors) == 2.0 / 6)
    #expect(masks.sparsity(over: NamedTensors()) == 0)
}
