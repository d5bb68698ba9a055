import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { maxJsonDepth, maxJsonValues, refusalOfJson } from '../../src/platform/json-body.ts'

const isModest = (text: string) => refusalOfJson(Buffer.from(text)) === null

/** The values and field names that JSON.parse creates. */
function sizeOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1
  return Object.values(value).reduce((sum: number, item) => sum + sizeOf(item), 1)
}

describe('a JSON body', () => {
  it.each<[string, (values: number) => string]>([
    ['a list', (values) => `[${Array(values - 1).fill('1234567890')}]`],
    ['an object', (values) => `{${Array.from({ length: values - 1 }, (_, n) => `"field${n}": 1`)}}`],
  ])('that is %s of at most 10,000 values passes, and one more is too many', (_name, textOf) => {
    // An empty list counts as one, because `[` may be followed by a value.
    expect(isModest(textOf(maxJsonValues - 1))).toBe(true)
    expect(isModest(textOf(maxJsonValues + 1))).toBe(false)
  })

  it('may have any text in its strings', () => {
    const text = ',[{'.repeat(maxJsonValues)
    for (const string of [text, `${text}"`, `\\${text}\\`, `"${text}\\"`, '\\"'.repeat(20_000)])
      expect(isModest(JSON.stringify({ a: string, b: [string] }))).toBe(true)
  })

  it('is measured up to the limit and no further', () => {
    const nested = Buffer.from('['.repeat(1_000_000))
    let read = 0
    const counted = new Proxy(nested, {
      get(target, name) {
        if (typeof name === 'string' && /^\d+$/.test(name)) read++
        const value = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    expect(refusalOfJson(counted)).not.toBeNull()
    expect(read).toBeLessThanOrEqual(maxJsonValues)
  })

  it('is nested at most 100 levels deep, however often', () => {
    const nested = (depth: number) => `${'[{"a":'.repeat(depth / 2)}1${'}]'.repeat(depth / 2)}`
    expect(isModest(`[${Array(98).fill(nested(maxJsonDepth - 2))}]`)).toBe(true)
    expect(refusalOfJson(Buffer.from(nested(maxJsonDepth + 2)))).toMatchObject({ statusCode: 400, code: 'invalid_input' })
  })

  it('that passes has few values, whatever it is', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.integer({ min: 1, max: 4_000 }), (value, copies) => {
        const list = Array(copies).fill(value)
        if (isModest(JSON.stringify(list))) expect(sizeOf(list)).toBeLessThanOrEqual(2 * maxJsonValues)
        else expect(2 * sizeOf(list)).toBeGreaterThan(maxJsonValues)
      }),
      { numRuns: 200 },
    )
  })

  it('that is not closed is left to the parser', () => {
    expect(isModest(`"${'a'.repeat(20_000)}`)).toBe(true)
    expect(isModest(`["\\${'a'.repeat(20_000)}`)).toBe(true)
  })
})
