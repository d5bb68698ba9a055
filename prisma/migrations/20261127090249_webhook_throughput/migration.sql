-- DropIndex
DROP INDEX "webhook_attempt_message_id_endpoint_id_number_idx";

-- DropIndex
DROP INDEX "webhook_attempt_kept_idx";

-- DropIndex
DROP INDEX "webhook_delivery_leased_idx";

-- CreateIndex
CREATE INDEX "webhook_attempt_kept_idx" ON "webhook_attempt"("created_at") WHERE (response_body <> '');

-- CreateIndex
CREATE INDEX "webhook_delivery_leased_idx" ON "webhook_delivery"("endpoint_id", "lease_expires_at") WHERE (lease_owner is not null);
