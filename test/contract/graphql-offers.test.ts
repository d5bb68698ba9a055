/** GraphQL has everything that a REST dialect has. What no mutation offers is listed here, with what to use instead. */
import { isInputObjectType } from 'graphql'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { commands, schema } from './support.ts'

/** Commands without a mutation of their name, and the mutations that do the same. */
const instead: Record<string, string[]> = {
  // The call of a bridge key, which is bound to an Odoo account. In GraphQL, the account is named.
  bridgeCall: ['callOdoo'],
  // A type by its name is for contracts with one path for all kinds. GraphQL has a mutation for each kind.
  connectToService: ['connectBucket', 'connectDatabase', 'connectEmailService', 'connectRedis'],
  // For a contract whose paths name the project. GraphQL names the service, and takes a tag as `commit`.
  deployProject: ['deployWebService'],
  // One request of a contract. In GraphQL, one operation can contain both mutations.
  createWebServiceWithEnvVars: ['createWebService', 'setEnvVars'],
}

/** Input fields of commands that their mutation does not have, and why. */
const withoutField: Record<string, string> = {
  'createStorageKey.buckets': 'Names instead of IDs, for a contract. GraphQL takes `bucketIds`.',
  'createWebService.environmentType': 'GraphQL takes `environmentId`.',
  'verifySendingDomain.emailServiceId': 'The path of a contract names the email service before the domain.',
}

const mutations = schema.getMutationType()!.getFields()

it('every command is a mutation, or can be replaced by some', () => {
  expect([...commands.keys()].filter((name) => !(name in mutations)).sort()).toEqual(Object.keys(instead).sort())
  expect(
    Object.values(instead)
      .flat()
      .filter((name) => !(name in mutations)),
  ).toEqual([])
})

it('every input field of a command is one of its mutation, or has a reason', () => {
  const missing = [...commands.values()].flatMap(({ name, input }) => {
    const type = schema.getType(`${name[0]!.toUpperCase()}${name.slice(1)}Input`)
    if (!isInputObjectType(type) || !(input instanceof z.ZodObject)) return []
    return Object.keys(input.shape).flatMap((field) => (field in type.getFields() ? [] : [`${name}.${field}`]))
  })
  expect(missing.sort()).toEqual(Object.keys(withoutField).sort())
})
