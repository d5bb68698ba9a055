import { z } from 'zod'

/** Refuses an object with the name `__proto__`, which a record schema would drop silently. Pure. */
export const withoutProto = <Schema extends z.ZodType>(schema: Schema) =>
  z.preprocess((value, context) => {
    if (typeof value === 'object' && value !== null && Object.hasOwn(value, '__proto__')) {
      context.addIssue({ code: 'custom', message: 'the name __proto__ is not allowed' })
    }
    return value
  }, schema)
