/** The models of `prisma/models`, with the types that Prisma generates for their rows. */
import { Prisma } from '../../generated/prisma/browser.ts'
import type { Prisma as Types } from '../../generated/prisma/client.ts'

export type Model = Types.ModelName
export type RowOf<Name extends Model> = Types.TypeMap['model'][Name]['payload']['scalars']

/** The fields of a model that are columns. */
export const fieldsOf = (model: Model): string[] => Object.keys(Prisma[`${model}ScalarFieldEnum`])
