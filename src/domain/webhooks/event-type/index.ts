/** The types of events as the outside sees them: which there are, how a filter names them, what was promised about their data. The registry itself is platform's. */
import { defineConcept } from '../../../platform/concept.ts'
import { webhookTest } from './events.ts'
import { beginEvents, listEventTypes } from './queries.ts'

export { type Baseline, extendBaseline, findBreaks } from './compatibility.ts'
export { inVersion, newestVersion, subjectTypesOf, versionsOf } from './model.ts'
export { demandPatterns, matchesPatterns, problemOfPattern } from './pattern.ts'
export { catalogue, printCatalogueModule, printOpenapi, printSchemas, printTypes } from './print.ts'

export const eventType = defineConcept({
  name: 'event-type',
  queries: [beginEvents, listEventTypes],
  events: [webhookTest],
})
