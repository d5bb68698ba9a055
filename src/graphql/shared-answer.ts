/**
 * Shares the answers to an event among subscriptions of the same shape, so that it is executed and serialized once. A source that gives its
 * events to several subscriptions, such as a log, must give them the same object. An event's fields may depend on the caller's rights, but
 * not on who the caller is.
 */
import { createHash } from 'node:crypto'
import { type DocumentNode, type GraphQLSchema, print, TypeInfo, visit, visitWithTypeInfo } from 'graphql'
import type { Caller } from '../platform/access.ts'
import type { Answer, Prepared } from './perform.ts'

export type SharedAnswers = {
  /** The shape of a subscription: subscriptions of one shape have the same answer to an event. */
  shapeOf(prepared: Pick<Prepared, 'document' | 'params'>, caller: Caller): string
  /** The answer to an event for a shape. `create` is called for the first subscription only, and must not reject. */
  answer(event: object, shape: string, create: () => Promise<Answer>): Promise<Answer>
}

export function createSharedAnswers(schema: GraphQLSchema): SharedAnswers {
  const selections = new WeakMap<DocumentNode, Selection>()
  const answersByEvent = new WeakMap<object, Map<string, Promise<Answer>>>()

  return {
    shapeOf({ document, params: { operationName, variables } }, caller) {
      const selection = selections.get(document) ?? selectionOf(document, schema)
      selections.set(document, selection)
      const values = selection.variables.map((name) => variables?.[name])
      const rights = [caller.organizationId, caller.projectIds, [...caller.permissions].sort()]
      return createHash('sha256')
        .update(JSON.stringify([selection.text, operationName, values, rights]))
        .digest('base64')
    },
    answer(event, shape, create) {
      const answers = answersByEvent.get(event) ?? new Map<string, Promise<Answer>>()
      answersByEvent.set(event, answers)
      const answer = answers.get(shape) ?? create()
      answers.set(shape, answer)
      return answer
    },
  }
}

type Selection = { text: string; variables: string[] }

/** What a document selects of an event. The arguments of the subscription's field are omitted: they choose the events, not their fields. */
function selectionOf(document: DocumentNode, schema: GraphQLSchema): Selection {
  const root = schema.getSubscriptionType()
  const types = new TypeInfo(schema)
  const variables = new Set<string>()
  const selected = visit(
    document,
    visitWithTypeInfo(types, {
      Field: (field) => (types.getParentType() === root ? { ...field, arguments: [] } : undefined),
      VariableDefinition: () => false,
      Variable: ({ name }) => void variables.add(name.value),
    }),
  )
  return { text: print(selected), variables: [...variables] }
}
