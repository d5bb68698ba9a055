/** The events that every kind of supervised resource has. */
import { z } from 'zod'
import { defineEvent, type EventDefinition } from '../../../platform/events.ts'
import type { IdType } from '../../../platform/id.ts'

export type EventKind<Shape extends z.ZodRawShape> = {
  /** The first part of the types, such as `database`. */
  name: string
  subject: IdType
  /** What descriptions call a resource. */
  noun: string
  /** The fields of the payload, to which `message` is added. */
  fields: Shape
  sample: z.infer<z.ZodObject<Shape>>
}

/** The events of a kind of resource. `define` declares another one, with the same payload. */
export function lifecycleEvents<Shape extends z.ZodRawShape>({ name, subject, noun, fields, sample }: EventKind<Shape>) {
  type Data = z.infer<z.ZodObject<Shape>> & { message: string | null }
  const message = z.string().nullable().describe(`Why the ${noun} is not running. Null for other events than \`${name}.failed\`.`)
  const schema = z.object({ ...fields, message }) as unknown as z.ZodType<Data>
  const define = (verb: string, description: string, reason: string | null = null): EventDefinition<Data> =>
    defineEvent({ type: `${name}.${verb}`, version: 1, description, subject, schema, sample: { ...sample, message: reason } as Data })
  const failure = `The ${noun} exited unexpectedly. It is being restarted.`
  return {
    define,
    created: define('created', `A ${noun} was created. \`${name}.started\` follows when it is running.`),
    supervised: {
      started: define('started', `A ${noun} is running, after its creation or a start, including a start of Quayside or of the machine.`),
      restarted: define('restarted', `A ${noun} was restarted and is running.`),
      stopped: define('stopped', `A ${noun} was stopped.`),
      failed: define(
        'failed',
        `A ${noun} exited unexpectedly while Quayside was running, does not respond, or could not be started. One that exited is started again automatically.`,
        failure,
      ),
      recovered: define('recovered', `A failed ${noun} is running again.`),
      deleted: define('deleted', `A ${noun} was deleted with its data.`),
    },
  }
}

/** Fields of a resource that has a name. `idName` is the field with its id. */
export const namedFields = <const IdName extends string>(noun: string, idName: IdName) =>
  ({
    [idName]: z.string().describe(`ID of the ${noun}.`),
    projectId: z.string().describe('ID of the project.'),
    environmentId: z.string().describe('ID of the environment.'),
    name: z.string().describe(`Name of the ${noun}.`),
    slug: z.string().describe(`Slug of the ${noun}.`),
  }) as Record<IdName | 'projectId' | 'environmentId' | 'name' | 'slug', z.ZodString>
