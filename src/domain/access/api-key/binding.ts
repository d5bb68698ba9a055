/** Keys that are bound to an object of a later concept, which stores the binding: those of the Odoo bridge, to an Odoo account. */
import { z } from 'zod'
import type { ApiKey, ApiKeyKind } from '../../../generated/prisma/client.ts'
import { defineExtensionPoint } from '../../../platform/concept.ts'
import { errors } from '../../../platform/errors.ts'
import type { Work } from '../../../platform/work.ts'

export const maxAllowed = 200

const pattern = z
  .string()
  .max(100, { error: 'must be at most 100 characters' })
  .regex(/^([A-Za-z_][\w.]*\*?|\*)$/, { error: 'must be a name, or the beginning of one with a * at its end' })
const patterns = z
  .array(pattern)
  .min(1, { error: 'must not be empty; to allow all, omit it' })
  .max(maxAllowed, { error: `must have at most ${maxAllowed} items` })

/** Fields of the input of a new key. */
export const bindingFields = {
  odooAccountId: z.string().nullish(),
  allowedModels: patterns.nullish(),
  allowedMethods: patterns.nullish(),
}
export const bindingIds = { odooAccountId: 'OdooAccount' } as const

export type KeyBindingInput = { [Name in keyof typeof bindingFields]?: z.output<(typeof bindingFields)[Name]> | undefined }

export type KeyBinding = {
  /** The kind of keys that are bound. */
  kind: ApiKeyKind
  /** Stores what a new key is bound to. Throws unless its creator may bind it. */
  bind(work: Work, apiKey: ApiKey, input: KeyBindingInput): Promise<void>
}

export const keyBindings = defineExtensionPoint<KeyBinding>('bindings of API keys')

export async function bindKey(work: Work, apiKey: ApiKey, input: KeyBindingInput): Promise<void> {
  const binding = keyBindings.of(work.app).find(({ kind }) => kind === apiKey.kind)
  if (binding) return binding.bind(work, apiKey, input)
  const field = Object.entries(input).find(([, value]) => value !== undefined && value !== null)?.[0]
  if (field) throw errors.invalid_input({ field, text: `${field}: must be omitted for a key of kind ${apiKey.kind}` })
}
