import Tensors

// Elementwise arithmetic on known values. Overflow or division by zero makes a result unknown.
extension HostArithmetic {
    static func combine(
        _ view: NodeShapes, _ a: HostTensor, _ b: HostTensor, _ shape: Shape, _ type: ElementType
    ) -> HostTensor? {
        guard let a = a.expanded(to: shape), let b = b.expanded(to: shape) else { return nil }
        let name = view.node.operatorType
        switch (a.values, b.values) {
        case (.integers(let a), .integers(let b)):
            var result: [Int64] = []
            for (a, b) in zip(a, b) {
                guard let value = integer(name, a, b, truncates: view.node.int("fmod") ?? 0 != 0) else { return nil }
                result.append(value)
            }
            return HostTensor(type: type, shape: shape, integers: result)
        case (.reals(let a), .reals(let b)):
            if type == .bool {
                let truths = zip(a, b).map { compare(name, $0, $1).map { $0 ? Int64(1) : 0 } }
                return truths.contains(nil)
                    ? nil : HostTensor(type: type, shape: shape, integers: truths.compactMap(\.self))
            }
            let results = zip(a, b).map { real(name, $0, $1) }
            return results.contains(nil) ? nil : HostTensor(type: type, shape: shape, reals: results.compactMap(\.self))
        default: return nil
        }
    }

    private static func integer(_ name: String, _ a: Int64, _ b: Int64, truncates: Bool) -> Int64? {
        func checked(_ result: (partialValue: Int64, overflow: Bool)) -> Int64? {
            result.overflow ? nil : result.partialValue
        }
        if let truth = compare(name, a, b) { return truth ? 1 : 0 }
        switch name {
        case "Add": return checked(a.addingReportingOverflow(b))
        case "Sub": return checked(a.subtractingReportingOverflow(b))
        case "Mul": return checked(a.multipliedReportingOverflow(by: b))
        case "Div": return checked(a.dividedReportingOverflow(by: b))
        case "Min": return min(a, b)
        case "Max": return max(a, b)
        case "And": return a != 0 && b != 0 ? 1 : 0
        case "Or": return a != 0 || b != 0 ? 1 : 0
        case "Mod":
            guard let rest = checked(a.remainderReportingOverflow(dividingBy: b)) else { return nil }
            // As Python: the sign of the divisor; with fmod as C: the sign of the dividend.
            return !truncates && rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest
        case "Pow":
            guard b >= 0, b <= 64 else { return nil }
            var power: Int64 = 1
            for _ in 0..<b {
                guard let next = checked(power.multipliedReportingOverflow(by: a)) else { return nil }
                power = next
            }
            return power
        default: return nil
        }
    }

    private static func real(_ name: String, _ a: Double, _ b: Double) -> Double? {
        switch name {
        case "Add": a + b
        case "Sub": a - b
        case "Mul": a * b
        case "Div": a / b
        case "Min": min(a, b)
        case "Max": max(a, b)
        default: nil
        }
    }

    private static func compare<Value: Comparable>(_ name: String, _ a: Value, _ b: Value) -> Bool? {
        switch name {
        case "Equal": a == b
        case "Less": a < b
        case "LessOrEqual": a <= b
        case "Greater": a > b
        case "GreaterOrEqual": a >= b
        default: nil
        }
    }

    /// Min, Max, And and Or over any number of inputs.
    static func fold(_ view: NodeShapes, _ shape: Shape, _ type: ElementType) -> HostTensor? {
        guard var result = view.value(0)?.expanded(to: shape) else { return nil }
        for index in view.node.inputs.indices.dropFirst() {
            guard let next = view.value(index), let folded = combine(view, result, next, shape, type) else {
                return nil
            }
            result = folded
        }
        return result
    }

    static func unary(_ view: NodeShapes, _ shape: Shape, _ type: ElementType) -> HostTensor? {
        guard let x = view.value(0) else { return nil }
        let name = view.node.operatorType
        switch x.values {
        case .integers(let values):
            guard name == "Neg" || name == "Abs", !values.contains(.min) else { return nil }
            return HostTensor(type: type, shape: shape, integers: values.map { name == "Neg" ? -$0 : abs($0) })
        case .reals(let values):
            return HostTensor(
                type: type, shape: shape,
                reals: values.map { value in
                    switch name {
                    case "Neg": -value
                    case "Abs": value.magnitude
                    case "Floor": value.rounded(.down)
                    case "Ceil": value.rounded(.up)
                    case "Round": value.rounded(.toNearestOrEven)
                    case "Sqrt": value.squareRoot()
                    default: 1 / value
                    }
                })
        }
    }

    /// Reductions of a whole value to one element; others are left unknown.
    static func reduce(_ view: NodeShapes, _ shape: Shape, _ type: ElementType) -> HostTensor? {
        guard let values = view.value(0)?.integers, shape.elementCount == 1, let first = values.first else {
            return nil
        }
        var result = first
        for value in values.dropFirst() {
            let next: (partialValue: Int64, overflow: Bool)
            switch view.node.operatorType {
            case "ReduceProd": next = result.multipliedReportingOverflow(by: value)
            case "ReduceSum": next = result.addingReportingOverflow(value)
            case "ReduceMax": next = (max(result, value), false)
            default: next = (min(result, value), false)
            }
            guard !next.overflow else { return nil }
            result = next.partialValue
        }
        return HostTensor(type: type, shape: shape, integers: [result])
    }
}
