-- How a Job of the chart is, for argocd-cm; docs/deploy/argocd.md says where it goes, and why ArgoCD's own rule
-- is not enough.
local hs = { status = "Progressing", message = "the run goes on" }
if obj.spec.suspend then
  hs.status = "Suspended"
  hs.message = "the Job is suspended"
end
local job = obj.status or {}
for _, condition in ipairs(job.conditions or {}) do
  if condition.status == "True" and condition.type == "Failed" then
    hs.status = "Degraded"
    hs.message = condition.message or "the run did not end well"
    if job.failedIndexes then
      hs.message = hs.message .. ": shards " .. job.failedIndexes
    end
    -- podFailurePolicy says the exit code: `... failed with exit code 3 matching FailJob rule ...`. ArgoCD has
    -- the library `string` only where useOpenLibs is set.
    local code = string and string.match(hs.message, "exit code (%d+)")
    local meanings = {
      ["2"] = "the list or a setting is wrong",
      ["3"] = "drift: a tag of the target holds other content",
      ["4"] = "a registry or key refused the login",
      ["5"] = "a signature or policy refused an image",
    }
    if code and meanings[code] then
      hs.message = meanings[code] .. " (" .. hs.message .. ")"
    end
    return hs
  end
  if condition.status == "True" and condition.type == "Complete" then
    hs.status = "Healthy"
    hs.message = "the target is as wanted"
  end
end
return hs
