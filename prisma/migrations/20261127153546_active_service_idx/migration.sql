-- CreateIndex
CREATE INDEX "service_runtime_active_idx" ON "service_runtime"("web_service_id") WHERE (status <> 'STOPPED');
