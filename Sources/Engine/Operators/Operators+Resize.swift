import CTorch
import ModelGraph
import Tensors

// Resize: which axes change, from which extent to which, and how coordinates map.
extension Operators {
    static let resizing: [String: OperatorDefinition] = ["Resize": .one(resize)]

    static func resize(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let settings = try resizeSettings(node)
        let policy = try mode(
            node, "keep_aspect_ratio_policy", default: "stretch",
            [("stretch", 0), ("not_larger", 1), ("not_smaller", 2)])
        let declaredAxes = node.ints("axes")
        return { _, x throws(EngineError) in
            let input = try first(x)
            let extents = input.extents
            var places: [Int] = []
            for axis in declaredAxes ?? (0..<Int64(extents.count)).map({ $0 }) {
                places.append(try place(node, axis, rank: extents.count))
            }
            guard Set(places).count == places.count else { throw refuse(node, "an axis given twice") }
            var axes = places.map { place in
                CTResizeAxis(
                    axis: Int64(place), input: Int64(extents[place]), output: Int64(extents[place]), scale: 1, start: 0,
                    end: 1)
            }
            try sizeAxes(node, x, policy: policy, &axes)
            if settings.coordinates == CT_CROP_AND_RESIZE {
                guard let region = try numbers(x, 1), region.count == 2 * axes.count, region.allSatisfy(\.isFinite)
                else {
                    throw refuse(node, "tf_crop_and_resize without a start and an end for each axis in roi")
                }
                for index in axes.indices {
                    (axes[index].start, axes[index].end) = (region[index], region[index + axes.count])
                }
            }
            axes.removeAll { $0.scale == 1 && $0.output == $0.input && $0.start == 0 && $0.end == 1 }
            if axes.isEmpty { return input }
            // One axis is resized after the other.
            var reached = extents.map(Int64.init)
            for axis in axes {
                reached[Int(axis.axis)] = axis.output
                try limit(reached, node)
            }
            var settings = settings
            return try TorchTensor(ct_resize(input.handle, axes, Int32(axes.count), &settings))
        }
    }

    private static func resizeSettings(_ node: Node) throws(EngineError) -> CTResize {
        var settings = CTResize()
        settings.mode = try mode(
            node, "mode", default: "nearest", [("nearest", CT_NEAREST), ("linear", CT_LINEAR), ("cubic", CT_CUBIC)])
        settings.coordinates = try mode(
            node, "coordinate_transformation_mode", default: "half_pixel",
            [
                ("half_pixel", CT_HALF_PIXEL), ("pytorch_half_pixel", CT_PYTORCH_HALF_PIXEL),
                ("align_corners", CT_ALIGN_CORNERS), ("asymmetric", CT_ASYMMETRIC),
                ("half_pixel_symmetric", CT_HALF_PIXEL_SYMMETRIC), ("tf_crop_and_resize", CT_CROP_AND_RESIZE),
            ])
        settings.nearest = try mode(
            node, "nearest_mode", default: "round_prefer_floor",
            [
                ("round_prefer_floor", CT_ROUND_PREFER_FLOOR), ("round_prefer_ceil", CT_ROUND_PREFER_CEIL),
                ("floor", CT_FLOOR), ("ceil", CT_CEIL),
            ])
        settings.cubic_coefficient = Double(node.float("cubic_coeff_a") ?? -0.75)
        settings.extrapolation = Double(node.float("extrapolation_value") ?? 0)
        settings.exclude_outside = flag(node, "exclude_outside")
        settings.antialias = flag(node, "antialias")
        if settings.antialias, settings.mode == CT_NEAREST { throw refuse(node, "antialias with mode 'nearest'") }
        return settings
    }

    /// Output extents and scales, from whichever of the inputs `scales` and `sizes` is given.
    private static func sizeAxes(
        _ node: Node, _ x: [TorchTensor?], policy: Int32, _ axes: inout [CTResizeAxis]
    ) throws(EngineError) {
        let sizes = try wholeNumbers(x, 3, node).flatMap { $0.isEmpty ? nil : $0 }
        let scales = try numbers(x, 2)
        guard let given = sizes?.count ?? scales?.count, sizes == nil || scales == nil, given == axes.count else {
            throw refuse(node, "scales and sizes: one of them is needed, with a value for each of \(axes.count) axes")
        }
        let limits = 0...Double(ModelLimits.extent)
        for index in axes.indices {
            let extent = Double(axes[index].input)
            if let sizes {
                axes[index].output = sizes[index]
                axes[index].scale = axes[index].input > 0 ? Double(sizes[index]) / extent : 1
            } else if let scale = scales?[index] {
                guard scale.isFinite, scale > 0, limits.contains(scale * extent) else {
                    throw refuse(node, "a scale of \(scale) for an axis of \(axes[index].input)")
                }
                // The product of float32 numbers, as the standard's own shape inference has it: 0.7 · 10 is 7.
                axes[index].output = Int64((Float(extent) * Float(scale)).rounded(.down))
                axes[index].scale = scale
            }
        }
        if policy != 0, sizes != nil {
            let scales = axes.map(\.scale)
            guard let scale = policy == 1 ? scales.min() : scales.max() else { return }
            for index in axes.indices {
                let extent = (scale * Double(axes[index].input) + 0.5).rounded(.down)
                guard limits.contains(extent) else { throw refuse(node, "an output axis of \(extent)") }
                axes[index].output = Int64(extent)
                axes[index].scale = scale
            }
        }
        guard axes.allSatisfy({ limits.contains(Double($0.output)) }) else {
            throw refuse(node, "sizes below 0 or above \(ModelLimits.extent)")
        }
    }
}
